"""The notebooks run from top to bottom and are committed with outputs that tell of no machine."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from notebooks.execute import METADATA, execute
from tests.conftest import TINY

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FEDERATED_TICKET, PRUNE_AND_CODE, YOUR_OWN_APP, COMPRESSED_UPDATES, OWN_IMAGES = NOTEBOOKS
# Places and times of a machine: in the committed outputs they would be different each time.
TRACES = (
    str(Path.home()), str(ROOT), "/home/", "/tmp/", "/Users/", "site-packages", "iopub",
    "Warning", "Traceback",
)  # fmt: skip


def outputs(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return cell.get("outputs", [])


def pictures(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the ids of the cells that showed a picture."""
    return [
        cell.id
        for cell in notebook.cells
        if any("image/png" in output.get("data", {}) for output in outputs(cell))
    ]


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return what the cells wrote to stdout and stderr, warnings among it."""
    every = [output for cell in notebook.cells for output in outputs(cell)]
    return "".join(output["text"] for output in every if output["output_type"] == "stream")


def shown(notebook: nbformat.NotebookNode, name: str) -> list[str]:
    """Return the texts that a cell showed, without those that stand for pictures."""
    (cell,) = [cell for cell in notebook.cells if cell.id == name]
    data = [output["data"] for output in outputs(cell)]
    texts = [it.get("text/markdown", it["text/plain"]) for it in data if "image/png" not in it]
    assert texts, name
    return texts


@pytest.fixture
def run(tmp_path, monkeypatch) -> Callable[..., nbformat.NotebookNode]:
    """Return a function that executes a notebook, with settings, away from the home."""
    places = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    for name in (*places, "TMPDIR"):
        (tmp_path / name.lower()).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("FLWR_GAN_RUN", "FLWR_GAN_OVERRIDES", "FLWR_GAN_ROUNDS"):
        monkeypatch.delenv(name, raising=False)

    def execute_with(path: Path, **settings: object) -> nbformat.NotebookNode:
        for name, value in settings.items():
            monkeypatch.setenv(f"FLWR_GAN_{name.upper()}", str(value))
        return execute(path, timeout_s=300)

    return execute_with


@pytest.mark.slow
def test_a_federated_ticket_is_run_read_and_drawn(run):
    notebook = run(FEDERATED_TICKET, overrides=f"{TINY} strategy.rounds_per_level=1")
    assert pictures(notebook) == ["traffic", "parts", "quality", "sample", "real"]
    assert "dense / payload" in shown(notebook, "sizes")[-1]
    assert printed(notebook) == ""


@pytest.mark.slow
def test_a_finished_run_is_read_without_scores_and_without_a_global_generator(run, simulate):
    folder = simulate("experiment=one_shot evaluation=none")
    assert not (folder / "generators" / "global.fgan").exists()
    notebook = run(FEDERATED_TICKET, run=folder)
    assert pictures(notebook) == ["traffic", "parts", "sample", "real"]
    assert shown(notebook, "quality") == ["'this run was not scored: evaluation=server does that'"]
    assert printed(notebook) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "tables"),
    [
        (PRUNE_AND_CODE, ("generators", "zero", "payload", "headline", "lossy")),
        (COMPRESSED_UPDATES, ("update", "feedback", "front", "sweep", "few")),
    ],
    ids=lambda given: given.stem if isinstance(given, Path) else "",
)
def test_what_is_shown_is_read_from_the_committed_results(path, tables, run, monkeypatch, tmp_path):
    monkeypatch.setenv("FLWR_GAN_DATA", str(tmp_path))  # no data set is needed
    notebook = run(path)
    committed = nbformat.read(path, as_version=4)
    assert pictures(notebook) == pictures(committed)
    for name in tables:
        message = f"{name}: the results have changed since the outputs: `make notebooks`"
        assert shown(notebook, name) == shown(committed, name), message
    assert printed(notebook) == ""


@pytest.mark.slow
def test_another_app_runs_on_the_wire(run):
    notebook = run(YOUR_OWN_APP, rounds=2)
    assert pictures(notebook) == ["curve"]
    (table,) = shown(notebook, "codecs")
    assert re.findall(r"^(raw|zlib|lzma|sparse) +True", table, re.M)
    assert printed(notebook) == ""


@pytest.mark.slow
def test_a_folder_of_images_becomes_a_generator(run):
    small = "federation.rounds=1 gan.depth=1 gan.local_iterations=1 samples_per_class=10"
    notebook = run(OWN_IMAGES, overrides=small)
    assert pictures(notebook) == ["breakdown", "sample"]
    assert shown(notebook, "folder") == shown(nbformat.read(OWN_IMAGES, as_version=4), "folder")
    assert "training_share" in shown(notebook, "quality")[-1]
    assert "layers.0.weight" in shown(notebook, "export")[-1]
    assert printed(notebook) == ""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_as_executed_and_tells_of_no_machine(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.metadata == METADATA
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.metadata == {} for cell in notebook.cells)
    assert pictures(notebook)
    assert printed(notebook) == ""
    text = path.read_text(encoding="utf-8")
    assert [trace for trace in TRACES if trace in text] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_leads_to_files_that_exist(path):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    linked = re.findall(r"\]\(([^)#]+)\)", text)
    assert linked
    for target in linked:
        assert (path.parent / target).exists(), target
