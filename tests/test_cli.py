"""The flower-simulation command: this app, foreign apps, and bad input of every kind."""

import subprocess
import sys
from pathlib import Path

import pytest

from flwr_gan.cli import main
from tests.conftest import TINY

FAST = f"{TINY} strategy.rounds_per_level=1 evaluation=none"


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
        ("strategy.rewind=back", ["strategy.rewind=back", "init, early, none"], 2),
        ("partition.alpha=0 partition=dirichlet", ["partition.alpha=0"], 2),
        ("federation.num_clients=5000", ["federation.num_clients"], 1),
        ("partition=writer", ["writer"], 1),
        ("federation.device=tpu", ["federation.device=tpu", "cpu"], 2),
        ("federation.rounds=7", ["federation.rounds=7", "leave it null"], 2),
        ("strategy=fedavg", ["federation.rounds=null"], 2),
        ("strategy=fedprox federation.rounds=1 strategy.proximal_mo=1", ["proximal_mo"], 2),
        ("data._target_=nothing.here", ["nothing.here"], 2),
        ("resume=/nonexistent/run", ["/nonexistent/run", "config.yaml"], 2),
        ("experiment=one_shot evaluation=clients", ["evaluation=clients", "GeneratorPool"], 2),
    ],
)
def test_bad_settings_end_in_one_line_before_training(settings, parts, status, tmp_path, capsys):
    base = "" if "resume" in settings else f"output_dir={tmp_path / 'run'} "
    assert run("--run-config", base + settings) == status
    text = error_of(capsys)
    for part in parts:
        assert part in text
    assert not (tmp_path / "run").exists()


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


def test_an_unknown_key_of_a_foreign_app_is_named(foreign):
    command = [sys.executable, "-m", "flwr_gan.cli", "--app", str(foreign)]
    done = subprocess.run(
        [*command, "--run-config", "round=3"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "unknown key round" in done.stderr
    assert "rounds" in done.stderr


def test_backend_settings_are_checked(capsys):
    assert run("--backend-config", "{") == 2
    assert "no JSON" in error_of(capsys)
    assert run("--run-config", FAST, "--backend-config", '{"client_resources": {}}') == 2
    assert "inline" in error_of(capsys)
