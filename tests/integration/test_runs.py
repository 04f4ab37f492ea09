"""Whole runs through the two apps: files, determinism, strategies, resuming."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flwr_gan.app import client as clients
from flwr_gan.app.generator_file import load_generator
from flwr_gan.app.overrides import config_dir
from flwr_gan.cli import main
from flwr_gan.client_app import app as client_app
from flwr_gan.core.tree import leaves
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError, OutputError, TrainingError
from flwr_gan.gan import WganGpTrainer
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import prepare_run_config
from flwr_gan.wire import load
from flwr_gan.wire.ledger import COLUMNS
from tests.conftest import IMAGES

TIMES = ["encode_s", "decode_s"]


GANS = pytest.mark.parametrize("gan", ["", f"{IMAGES} gan=sngan"], ids=["vectors", "images"])


def messages(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "messages.csv")


def untimed(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    rounds = pd.read_csv(folder / "rounds.csv")
    return messages(folder).drop(columns=TIMES), rounds.drop(columns="wall_s")


def resume(folder: Path) -> None:
    run_config, nodes = prepare_run_config(f"resume={folder}", None)
    run_apps(server_app, client_app, num_supernodes=nodes, run_config=run_config)


def same_run(a: Path, b: Path) -> bool:
    return all(left.equals(right) for left, right in zip(untimed(a), untimed(b), strict=True))


@pytest.mark.long
@pytest.mark.usefixtures("quick_judge")
def test_a_run_leaves_all_its_files(simulate):
    folder = simulate("evaluation=server")
    names = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert {
        "config.yaml", "messages.csv", "rounds.csv", "summary.json", "samples.png",
        "partition.png", "rounds.png", "generators/global.fgan", "checkpoint/server.npz",
    } <= names  # fmt: skip
    assert not [name for name in names if Path(name).name.startswith(".")]
    assert tuple(messages(folder).columns) == COLUMNS
    summary = json.loads((folder / "summary.json").read_text())
    frame = messages(folder)
    for direction in ("up", "down"):
        total = frame[frame.direction == direction].message_bytes.sum()
        assert summary["totals"][f"{direction}_bytes"] == total
    rounds = pd.read_csv(folder / "rounds.csv")
    assert rounds.up_bytes.sum() + rounds.down_bytes.sum() == frame.message_bytes.sum()
    assert (
        rounds.dense_up_bytes
        == 4 * frame[frame.direction == "up"].groupby("round").parameters.sum().to_numpy()
    ).all()
    assert {"frechet_distance", "precision", "recall", "density", "coverage"} <= set(rounds)
    assert summary["seed"] == 0
    assert summary["versions"]["flwr"]
    arrays = load(folder / "generators" / "global.fgan")
    assert list(arrays) == ["fc.weight", "conv1.weight", "conv2.weight"]


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(simulate):
    first, second = simulate(folder="a"), simulate(folder="b")
    assert same_run(first, second)
    generators = [load(f / "generators" / "global.fgan") for f in (first, second)]
    assert all(np.array_equal(generators[0][name], generators[1][name]) for name in generators[0])
    assert not same_run(first, simulate("evaluation=none seed=1", folder="c"))


def kept(folder: Path, models: str = "generators") -> list[bytes]:
    """Return what a run leaves of its models and of the states of its clients."""
    paths = [
        *(folder / models).iterdir(),
        *(folder / "checkpoint" / "clients").rglob("*.npz"),
    ]
    return [path.read_bytes() for path in sorted(paths)]


@pytest.mark.long
@GANS
def test_processes_give_the_bytes_and_states_of_one_process(simulate, gan):
    script = "evaluation=none federation.fraction=0.67 federation.num_clients=3 codec=sparse:int4"
    script += f" {gan}"
    folders = [simulate(script, folder=name, backend=name) for name in ("inline", "processes")]
    assert same_run(*folders)
    assert kept(folders[0]) == kept(folders[1])


@pytest.mark.slow
@GANS
@pytest.mark.parametrize("backend", ["processes", "ray"])
def test_all_engines_give_the_same_bytes_and_metrics(simulate, backend, gan):
    pytest.importorskip(backend if backend == "ray" else "multiprocessing")
    script = f"evaluation=server federation.fraction=0.67 federation.num_clients=3 {gan}"
    inline = simulate(script, folder="inline")
    other = inline.parent / backend
    command = [sys.executable, "-m", "flwr_gan.cli", "--app", "flwr_gan", "--backend", backend]
    text = (inline / "config.yaml").read_text()
    other.mkdir()
    (other / "config.yaml").write_text(text)
    subprocess.run([*command, "--run-config", f"resume={other}"], check=True, timeout=600)
    assert same_run(inline, other)


@pytest.mark.parametrize("strategy", ["fedavg", "fedprox"])
def test_averaging_strategies_run_compressed(simulate, strategy):
    folder = simulate(f"strategy={strategy} federation.rounds=2 evaluation=none")
    assert len(pd.read_csv(folder / "rounds.csv")) == 2


@pytest.mark.slow
def test_clients_can_evaluate_on_their_own_data(simulate):
    folder = simulate("strategy=fedavg federation.rounds=1 evaluation=clients")
    frame = messages(folder)
    evaluated = frame[frame.kind == "evaluate"]
    assert set(evaluated.direction) == {"up", "down"}
    assert (evaluated[evaluated.direction == "down"].payload_bytes > 0).all()
    rounds = pd.read_csv(folder / "rounds.csv")
    assert rounds.conditional_accuracy.between(0, 1).all()


@pytest.mark.long
@pytest.mark.usefixtures("quick_judge")
def test_a_client_trains_its_judge_once(simulate, monkeypatch):
    made = []

    class Counted(clients.SampleJudge):
        def __init__(self, *samples, **settings):
            made.append(settings["seed"])
            super().__init__(*samples, **settings)

    monkeypatch.setattr(clients, "SampleJudge", Counted)
    settings = "strategy=fedavg federation.rounds=2 evaluation=clients data.test_fraction=0.9"
    once = simulate(settings, folder="once")
    assert len(made) == len(set(made)) == 2
    monkeypatch.setattr(clients, "MOST_JUDGES", 1)
    anew = simulate(settings, folder="anew")
    assert len(made) == 6
    assert same_run(once, anew)


@pytest.mark.long
@pytest.mark.usefixtures("quick_judge")
def test_the_pool_is_one_shot_and_its_tickets_can_be_loaded(simulate):
    folder = simulate("experiment=one_shot evaluation=server")
    frame = messages(folder)
    assert list(frame.direction) == ["down", "down", "up", "up"]
    assert (frame[frame.direction == "down"].parameters == 0).all()
    up = frame[frame.direction == "up"]
    saved = sorted((folder / "generators").glob("*.fgan"))
    assert load_generator(saved[0]).num_classes == 10
    for path, row in zip(saved, up.itertuples(), strict=True):
        arrays = load(path)
        assert sum(a.size for a in arrays.values()) == row.parameters
        *weights, counts = arrays.values()
        assert counts.sum() > 0
        assert sum(np.count_nonzero(a) for a in weights) < sum(a.size for a in weights)


@pytest.mark.long
def test_fedprox_holds_clients_near_the_broadcast(simulate):
    def drift(mu: float) -> float:
        folder = simulate(
            f"strategy=fedprox strategy.proximal_mu={mu} federation.rounds=1 evaluation=none "
            "gan.local_iterations=60",
            folder=f"mu{mu}",
        )
        return moved(folder)

    drifts = [drift(mu) for mu in (0.0, 30.0, 1000.0)]
    assert drifts[0] > drifts[1] > drifts[2]


def moved(folder: Path) -> float:
    """Return how far the global weights have come: the squared distance to the initial ones."""
    from flwr_gan.app.federation import load_federation
    from flwr_gan.gan import network_arrays

    federation = load_federation(f"resume={folder}")
    first = network_arrays(federation.initial())
    last = load(folder / federation.models / "global.fgan")
    assert last.keys() == first.keys()
    return float(sum(np.square(last[name] - first[name]).sum() for name in first))


@pytest.mark.long
@pytest.mark.usefixtures("quick_judge")
@pytest.mark.parametrize("name", sorted(p.stem for p in (config_dir() / "experiment").glob("*")))
def test_every_experiment_runs_one_tiny_round(simulate, name):
    if name == "paper":
        folder = simulate(
            "experiment=paper strategy=generator_pool lottery.iterations=1 "
            "lottery.min_kept_per_layer=8 evaluation=none"
        )
    else:
        folder = simulate(f"experiment={name} evaluation=none")
    assert json.loads((folder / "summary.json").read_text())["name"] == name


def test_an_output_folder_that_cannot_be_written_fails_before_training(simulate, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        simulate(folder="file/run")


@pytest.mark.long
def test_a_finished_run_is_not_overwritten_and_resuming_it_changes_nothing(simulate):
    folder = simulate()
    before = untimed(folder)
    with pytest.raises(ConfigError, match="resume="):
        simulate()
    assert main(["--app", "flwr_gan", "--run-config", f"resume={folder}"]) == 0
    assert all(a.equals(b) for a, b in zip(before, untimed(folder), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("experiment", ["quickstart", "one_shot"])
def test_a_run_killed_after_its_last_checkpoint_is_closed_by_resuming(simulate, experiment):
    folder = simulate(f"experiment={experiment} evaluation=none")
    before, names = untimed(folder), sorted(p.name for p in (folder / "generators").iterdir())
    (folder / "summary.json").unlink()
    rounds = (folder / "rounds.csv").read_text().splitlines()
    (folder / "rounds.csv").write_text("\n".join(rounds[:-1]) + "\n")
    resume(folder)
    assert (folder / "summary.json").exists()
    assert all(a.equals(b) for a, b in zip(before, untimed(folder), strict=True))
    assert sorted(p.name for p in (folder / "generators").iterdir()) == names


def test_a_run_in_which_nobody_delivers_is_an_error(simulate, monkeypatch):
    def fail(*arguments, **settings):
        raise TrainingError("the loss is not finite in iteration 7")

    monkeypatch.setattr(WganGpTrainer, "train", fail)
    with pytest.raises(TrainingError, match=r"no client delivered .* iteration 7"):
        simulate("evaluation=server", folder="failed")


@pytest.mark.long
def test_clients_restart_with_the_level_even_if_they_join_it_late(simulate):
    """A client that misses the first round of a level must not go on with its old critic."""
    seen = []
    train = WganGpTrainer.train

    def look(self, *arguments, **settings):
        seen.append(any(a.any() for n, a in leaves(self.state_dict()) if "adam" in n))
        return train(self, *arguments, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WganGpTrainer, "train", look)
        folder = simulate(
            "evaluation=none strategy.rounds_per_level=3 strategy.rewind=init "
            "federation.num_clients=4 federation.fraction=0.5"
        )
    frame = messages(folder)
    order = frame[(frame.kind == "train") & (frame.direction == "up")].sort_values("round")
    trained: set[tuple[int, int]] = set()
    expected: dict[int, list[bool]] = {}
    for server_round, client in zip(order["round"], order["client"], strict=True):
        level = (server_round - 1) // 3
        expected.setdefault(server_round, []).append((level, client) in trained)
        trained.add((level, client))
    found = {r: sorted(seen[2 * (r - 1) : 2 * r]) for r in expected}
    assert found == {r: sorted(flags) for r, flags in expected.items()}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["federated_ticket", "fedavg", "updates", "images"])
def test_a_killed_run_resumes_to_the_same_payloads_and_metrics(simulate, tmp_path, tiny, strategy):
    """SIGKILL in the middle of a round; what was finished is kept and the rest is the same."""
    own = (
        "strategy.rounds_per_level=3 strategy.rewind=early"
        if strategy == "federated_ticket"
        else "strategy=fedavg federation.rounds=6 federation.num_clients=4 federation.fraction=0.5"
    )
    updates = "codec=topk:0.1+int4 seeded_start=true" if strategy == "updates" else ""
    images = f"{IMAGES} gan=wdcgan" if strategy == "images" else ""
    settings = f"{own} {updates} {images} gan.local_iterations=40"
    whole = simulate(
        f"evaluation=server {settings}".replace("strategy.rounds_per_level=1", ""), folder="whole"
    )
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "flwr_gan.cli", "--app", "flwr_gan", "--run-config"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, f"{tiny} {settings} output_dir={killed}"], env=environment
    )
    clients = killed / "checkpoint" / "clients"
    deadline = time.monotonic() + 120
    # The first client has finished the third round and the second one has not.
    while not list(clients.glob("*/round-00003.npz")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "summary.json").exists()
    assert len(pd.read_csv(killed / "rounds.csv")) < 6
    subprocess.run([*command, f"resume={killed}"], env=environment, check=True, timeout=600)
    assert same_run(whole, killed)
    generators = [load(f / "generators" / "global.fgan") for f in (whole, killed)]
    assert all(np.array_equal(generators[0][n], generators[1][n]) for n in generators[0])
