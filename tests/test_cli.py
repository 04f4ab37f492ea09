"""The flower-simulation command: this app, foreign apps, and bad input of every kind."""

import subprocess
import sys
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict
from flwr.server.strategy import FedAvg

from flwr_gan import cli, server_app
from flwr_gan.app import config
from flwr_gan.app.config import load_config
from flwr_gan.app.federation import federation_from
from flwr_gan.cli import main
from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("without_pictures")

AVG = "strategy=fedavg federation.rounds=1"
PROX = "strategy=fedprox federation.rounds=1"
FAST = f"{TINY} strategy.rounds_per_level=1 evaluation=none"


class NoRounds(FedAvg):
    """A strategy that says itself how long it takes, and is mistaken."""

    num_rounds = 0


def run(*arguments: str) -> int:
    return main(["--app", "flwr_gan", *arguments])


def error_of(capsys) -> str:
    text = capsys.readouterr().err
    assert text.startswith("flower-simulation: ")
    assert text.count("\n") == 1
    return text


def test_the_app_runs_and_prints_table_and_folder(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run("--run-config", f"{FAST} output_dir={folder}") == 0
    text = capsys.readouterr().out
    assert "sparsity %" in text
    assert str(folder) in text
    assert (folder / "summary.json").exists()


def test_num_supernodes_is_the_number_of_clients(tmp_path):
    settings = FAST.replace("federation.num_clients=2 ", "")
    arguments = ["--num-supernodes", "3", "--run-config", f"{settings} output_dir={tmp_path / 'r'}"]
    assert run(*arguments) == 0
    assert "num_clients: 3" in (tmp_path / "r" / "config.yaml").read_text()


def test_num_supernodes_and_num_clients_must_agree(capsys, tmp_path):
    assert run("--num-supernodes", "3", "--run-config", f"{FAST} output_dir={tmp_path}") == 2
    assert "--num-supernodes 3 and federation.num_clients=2 differ" in error_of(capsys)


def test_an_output_folder_is_chosen_when_none_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("--run-config", FAST) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("_quickstart")


@pytest.mark.parametrize(
    ("settings", "parts", "status"),
    [
        ("lottery.rat=0.3", ["unknown key lottery.rat", "nearest: lottery.rate"], 2),
        ("codec=zlip", ["zlip", "zlib"], 2),
        ("lottery.rate=7", ["lottery.rate=7"], 2),
        ("strategy.rewind=back", ["strategy.rewind='back'", "init or early or none"], 2),
        ("partition.alpha=0 partition=dirichlet", ["partition.alpha=0"], 2),
        ("federation.num_clients=5000", ["federation.num_clients"], 2),
        ("partition=writer", ["writer"], 2),
        ("federation.device=tpu", ["federation.device=tpu", "cpu"], 2),
        ("federation.rounds=7", ["federation.rounds=7", "leave it null"], 2),
        ("strategy=fedavg", ["federation.rounds=null"], 2),
        ("strategy=fedprox federation.rounds=1 strategy.proximal_mo=1", ["proximal_mo"], 2),
        ("data._target_=nothing.here", ["nothing.here"], 2),
        ("resume=/nonexistent/run", ["/nonexistent/run", "config.yaml"], 2),
        ("experiment=one_shot evaluation=clients", ["evaluation=clients", "GeneratorPool"], 2),
        (f"{PROX} strategy.proximal_mu=abc", ["strategy.proximal_mu='abc'", "of at least 0"], 2),
        (f"{PROX} strategy.proximal_mu=-1", ["strategy.proximal_mu=-1", "of at least 0"], 2),
        (f"{PROX} strategy.proximal_mu=true", ["strategy.proximal_mu=True"], 2),
        (f"{PROX} strategy.proximal_mu=nan", ["strategy.proximal_mu=nan"], 2),
        (
            f"{AVG} strategy._target_=flwr.serverapp.strategy.FedAvg",
            ["strategy._target_=flwr.serverapp.strategy.FedAvg", "CompressedMessageStrategy"],
            2,
        ),
        (f"{AVG} +strategy.eta=1", ["flwr.server.strategy.FedAvg", "eta"], 2),
        (f"{AVG} +strategy.fraction_fit=1", ["fraction_fit follows from other keys"], 2),
        ("strategy=fedavg strategy._target_=tests.test_cli.NoRounds", ["NoRounds takes 0"], 2),
        (
            "evaluation=clients partition=iid federation.num_clients=700",
            ["federation.holdout=0.2", "federation.num_clients", "partition"],
            2,
        ),
        (
            "evaluation=clients partition=iid federation.num_clients=2 federation.holdout=0.9999",
            ["federation.holdout=0.9999", "1 or more to train on"],
            2,
        ),
        ("name='my run'", ["name='my run'", "letters, digits"], 2),
        ("output_dir=~/x", ["~/x", "quotes"], 2),
        ("output_dir=", ["output_dir is empty"], 2),
    ],
)
def test_bad_settings_end_in_one_line_before_training(settings, parts, status, tmp_path, capsys):
    base = "" if "resume" in settings else f"output_dir={tmp_path / 'run'} "
    assert run("--run-config", base + settings) == status
    text = error_of(capsys)
    for part in parts:
        assert part in text
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "name", ["file/run", "file", "run/../file/x", "link/run", "a/../../b/run", "n" * 300]
)
def test_a_folder_that_cannot_be_written_is_found_before_any_engine(
    name, tmp_path, capsys, monkeypatch
):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    monkeypatch.setattr(cli, "run_apps", lambda *_, **__: pytest.fail("an engine was started"))
    assert run("--run-config", f"{FAST} output_dir={tmp_path / name}") == 1
    assert "cannot write" in error_of(capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_what_is_checked_beforehand_leaves_nothing_behind(tmp_path):
    server_app.prepare_run_config(f"{FAST} output_dir={tmp_path / 'a' / 'b'}", None)
    assert not list(tmp_path.iterdir())


def test_a_finished_run_is_not_started_again(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "sp ace"
    assert run("--run-config", f"{FAST} output_dir='{folder}'") == 0
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    capsys.readouterr()
    monkeypatch.setattr(cli, "run_apps", lambda *_, **__: pytest.fail("an engine was started"))
    assert run("--run-config", f"resume='{folder}'") == 0
    assert capsys.readouterr().out == f"{folder} is finished already: nothing is left to do\n"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("target", "status"), [("FedAdam", 2), ("FedAvg", 0), ("FedProx proximal_mu=0.1", 0)]
)
def test_a_strategy_that_forgets_its_state_cannot_be_resumed(
    target, status, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(cli, "run_apps", lambda *_, **__: None)
    name, *more = target.split()
    strategy = f"strategy._target_=flwr.server.strategy.{name}"
    added = " ".join(f"+strategy.{item}" for item in more)
    assert run("--run-config", f"{TINY} {AVG} {strategy} {added} output_dir={tmp_path}") == 0
    text = load_config(f"{TINY} {AVG} {strategy} {added} output_dir={tmp_path}".split()).to_yaml()
    (tmp_path / "config.yaml").write_text(text)
    assert run("--run-config", f"resume={tmp_path}") == status
    if status:
        text = error_of(capsys)
        assert f"resume={tmp_path}: FedAdam may keep state" in text
        assert "start a new run" in text


def test_missing_data_names_the_places_and_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FLWR_GAN_DATA", str(tmp_path / "absent"))
    assert run("--run-config", f"data=pendigits output_dir={tmp_path / 'run'}") == 1
    assert str(tmp_path / "absent") in error_of(capsys)


def test_truncated_data_is_named(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "data" / "pendigits"
    folder.mkdir(parents=True)
    for name in ("pendigits-train", "pendigits-test"):
        (folder / name).write_text(".SEGMENT DIGIT 0 ? ")
    monkeypatch.setenv("FLWR_GAN_DATA", str(tmp_path / "data"))
    assert run("--run-config", f"data=pendigits output_dir={tmp_path / 'run'}") == 1
    assert "pendigits-train" in error_of(capsys)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("no_such_app", "there is no no_such_app"),
        ("no/such/folder", "there is no such folder"),
        ("json", "there is no json.server_app"),
        ("strategies", "there is no strategies.server_app"),
    ],
)
def test_an_app_that_does_not_exist(name, part, capsys):
    assert main(["--app", name]) == 2
    assert part in error_of(capsys)


def test_folders_that_are_no_flower_app(tmp_path, capsys):
    folder = tmp_path / "some-app"
    folder.mkdir()
    assert main(["--app", str(folder)]) == 2
    assert "pyproject.toml" in error_of(capsys)
    (folder / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert main(["--app", str(folder)]) == 2
    assert "names no serverapp" in error_of(capsys)
    (folder / "pyproject.toml").write_text("not toml at all [")
    assert main(["--app", str(folder)]) == 2
    assert "cannot read" in error_of(capsys)


@pytest.mark.parametrize(
    ("server", "extra", "part"),
    [
        ('":app"', "", "':app' is no component: write 'module:attribute'"),
        ('"broken_app"', "", "'broken_app' is no component"),
        ('"broken_app:"', "", "'broken_app:' is no component"),
        ('"broken-app:app"', "", "'broken-app:app' is no component"),
        ('["broken_app:app"]', "", "['broken_app:app'] is no component"),
        ("3", "", "3 is no component"),
        ('"broken_app:app"', "[tool.flwr.app]\nconfig = 3", "config is no table"),
        ('"broken_app:app"', "[tool.flwr.app.config]\na = [1]", "key a needs to be"),
        ('"broken_app.absent:app"', "", "there is no broken_app.absent:app"),
        ('"broken_app:absent"', "", "broken_app has no absent"),
        ('"broken_app:app"', "", "broken_app:app is no ServerApp"),
        ('"broken_app.syntax:app"', "", "syntax.py, line 2: "),
        ('"broken_app.attribute:app"', "", "cannot be imported: AttributeError: 'int' object"),
        ('"broken_app.lines:app"', "", "cannot be imported: RuntimeError: one two; mend the app"),
        ('"broken_app.leaves:app"', "", "cannot be imported: SystemExit: bye"),
        ('"broken_app.needs:app"', "", "broken_app.needs needs no_such_library: install it"),
        ('"broken_app.refuses:app"', "", "cannot be imported: ModuleNotFoundError: no"),
    ],
)
def test_components_that_cannot_be_used(server, extra, part, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = {
        "__init__": "app = 3\n",
        "syntax": "\ndef (:\n",
        "attribute": "(3).nothing\n",
        "lines": "raise RuntimeError('one\\ntwo')\n",
        "leaves": "import sys\nsys.exit('bye')\n",
        "needs": "import no_such_library\n",
        "refuses": "raise ModuleNotFoundError('no')\n",
    }
    (tmp_path / "broken_app").mkdir()
    for name, text in modules.items():
        (tmp_path / "broken_app" / f"{name}.py").write_text(text)
    (tmp_path / "pyproject.toml").write_text(
        f'{extra}\n[tool.flwr.app.components]\nserverapp = {server}\nclientapp = "broken_app:app"\n'
    )
    try:
        assert main(["--app", str(tmp_path)]) == 2
    finally:
        for name in [name for name in sys.modules if name.startswith("broken_app")]:
            del sys.modules[name]
    assert part in error_of(capsys)


def test_all_libraries_that_a_package_lacks_are_named_with_the_way_to_get_them(
    tmp_path, capsys, monkeypatch
):
    files = {
        "lacking_app/__init__.py": "",
        "lacking_app/server_app.py": "import no_such_library\n",
        "lacking_app-1.0.dist-info/METADATA": """Metadata-Version: 2.1
Name: lacking-app
Version: 1.0
Requires-Dist: numpy>=1
Requires-Dist: no-such-library>=2,<3
Requires-Dist: another-one
Requires-Dist: rare; extra == "all"
Requires-Dist: elsewhere; python_version < "3"
""",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert main(["--app", "lacking_app"]) == 2
    assert error_of(capsys) == (
        "flower-simulation: --app lacking_app: lacking_app needs no-such-library, another-one, "
        "not installed here: pip install lacking-app\n"
    )


FOREIGN = {
    "pyproject.toml": """
[project]
name = "foreign-app"
[tool.flwr.app.components]
serverapp = "foreign_app.server:app"
clientapp = "foreign_app.client:app"
[tool.flwr.app.config]
rounds = 1
note.text = "none"
""",
    "foreign_app/__init__.py": "",
    "foreign_app/server.py": """
from pathlib import Path
from flwr.app import Message, RecordDict
from flwr.serverapp import ServerApp
app = ServerApp()
@app.main()
def main(grid, context):
    replies = grid.send_and_receive(
        [Message(RecordDict(), node, "train") for node in grid.get_node_ids()])
    text = [str(dict(reply.content["seen"])) for reply in replies]
    Path(__file__).with_name("out.txt").write_text("\\n".join(text))
""",
    "foreign_app/client.py": """
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
app = ClientApp()
@app.train()
def train(message, context):
    seen = ConfigRecord({**context.run_config, "partition": context.node_config["partition-id"]})
    return Message(RecordDict({"seen": seen}), reply_to=message)
""",
}


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    folder = tmp_path / "foreign-app"
    for name, text in FOREIGN.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_foreign_app_runs_from_its_folder_with_its_own_run_config(foreign):
    command = [sys.executable, "-m", "flwr_gan.cli", "--app", str(foreign), "--num-supernodes", "2"]
    subprocess.run([*command, "--run-config", 'rounds=3 note.text="a b"'], check=True)
    lines = (foreign / "foreign_app" / "out.txt").read_text().splitlines()
    assert lines == [str({"rounds": 3, "note.text": "a b", "partition": p}) for p in range(2)]


@pytest.mark.parametrize(
    ("items", "parts"),
    [
        ("round=3", ["unknown key round: allowed are note.text, rounds (nearest: rounds)"]),
        ("rounds = 3", ["'rounds = 3' is no key=value: write rounds=3"]),
        ("rounds=2.5", ["rounds=2.5", "declares rounds=1, so give a whole number"]),
    ],
)
def test_run_config_of_a_foreign_app_is_checked(items, parts, foreign, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(cli, "run_apps", lambda *_, **__: pytest.fail("an engine was started"))
    assert main(["--app", str(foreign), "--run-config", items]) == 2
    text = error_of(capsys)
    assert all(part in text for part in parts)


def test_backend_settings_are_checked(capsys):
    assert run("--backend-config", "{") == 2
    assert "no JSON" in error_of(capsys)
    settings = ("--run-config", FAST, "--backend-config", '{"client_resources": {}}')
    for backend in ("inline", "processes"):
        assert run(*settings, "--backend", backend) == 2
        assert f"of --backend {backend}: unknown key client_resources" in error_of(capsys)


def test_settings_are_composed_once_and_handed_on_resolved(tmp_path, monkeypatch):
    text, composed = f"{FAST} seed=123 output_dir={tmp_path / 'run'}", []
    compose = config.compose
    monkeypatch.setattr(config, "compose", lambda *a, **k: composed.append(a) or compose(*a, **k))
    run_config, nodes = server_app.prepare_run_config(text, None)
    assert ([*run_config], nodes) == (["config"], 2)
    contexts = [Context(1, node, {}, RecordDict(), dict(run_config)) for node in (2, 3)]
    first, second = map(federation_from, contexts)
    assert first is second
    assert len(composed) == 1
    assert first.config == load_config(text.split())
