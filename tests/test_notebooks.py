"""The notebooks run from top to bottom on real result folders and are committed clean."""

import os
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
READ_A_RUN = ROOT / "notebooks" / "read_a_run.ipynb"


def pictures(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the ids of the cells that showed a picture."""
    return [
        cell.id
        for cell in notebook.cells
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))
    ]


def printed(notebook: nbformat.NotebookNode) -> str:
    """Return what the cells wrote to stdout and stderr, warnings among it."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


@pytest.fixture
def execute(tmp_path, monkeypatch) -> Callable[[Path], nbformat.NotebookNode]:
    """Return a function that executes the notebook about a run folder, away from the home."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))

    def run(folder: Path) -> nbformat.NotebookNode:
        monkeypatch.setenv("FLWR_GAN_RUN", str(folder))
        notebook = nbformat.read(READ_A_RUN, as_version=4)
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=120,
            resources={"metadata": {"path": str(tmp_path)}},
        )
        return client.execute()

    return run


def find_run() -> Callable[[], Path]:
    """Return the notebook's function that chooses the run folder."""
    cells = {cell.id: cell.source for cell in nbformat.read(READ_A_RUN, as_version=4).cells}
    names: dict[str, Callable[[], Path]] = {}
    definition, call = cells["find-run"].split("\nfolder = ")
    assert call.startswith("find_run()")
    exec(definition, names)
    return names["find_run"]


def finished(folder: Path, seconds: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text("{}")
    os.utime(folder / "summary.json", (seconds, seconds))
    return folder


def test_a_scored_run_is_read_and_drawn(execute, simulate):
    notebook = execute(simulate("evaluation=server"))
    assert pictures(notebook) == ["rounds", "parts", "quality", "sample", "real"]
    assert printed(notebook) == ""


@pytest.mark.slow
def test_a_pool_without_scores_and_without_a_global_generator_is_read_too(execute, simulate):
    folder = simulate("experiment=one_shot evaluation=none")
    assert not (folder / "generators" / "global.fgan").exists()
    notebook = execute(folder)
    assert pictures(notebook) == ["rounds", "parts", "sample", "real"]
    assert printed(notebook) == ""


@pytest.mark.parametrize("place", ["runs", "../runs"])
def test_the_newest_finished_run_is_chosen(tmp_path, monkeypatch, place):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("FLWR_GAN_RUN", raising=False)
    finished(work / place / "b", 1_000)
    newest = finished(work / place / "a", 2_000)
    (work / place / "interrupted").mkdir()
    assert find_run()().resolve() == newest.resolve()


def test_without_a_run_the_message_says_what_to_do(tmp_path, monkeypatch):
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.delenv("FLWR_GAN_RUN", raising=False)
    with pytest.raises(FileNotFoundError, match="`make run` first"):
        find_run()()
    monkeypatch.setenv("FLWR_GAN_RUN", "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"FLWR_GAN_RUN=elsewhere .* `make run` first"):
        find_run()()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_clean(path):
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.nbformat == 4
    assert notebook.metadata.kernelspec.name == "python3"
    assert str(Path.home()) not in path.read_text()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count is None and not cell.outputs for cell in code)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
