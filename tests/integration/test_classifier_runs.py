"""Federations of classifiers through the two apps: what is trained, sent, measured and refused."""

import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from flwr_gan.app.classifier.client import ClassifierClient
from flwr_gan.app.classifier.network import measure
from flwr_gan.app.federation import load_federation
from flwr_gan.app.fgan.quantise import delay_ms, int8
from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.gan import load_network_arrays
from flwr_gan.server_app import prepare_run_config
from flwr_gan.wire import load
from tests.integration.test_runs import kept, moved, resume, same_run

PLAIN = (
    "experiment=classifier classifier.prune=0 classifier.distil=false classifier.passes=1 "
    "codec=sparse"
)
SHORT = "federation.rounds=2 evaluation=none"


def global_weights(folder) -> dict[str, np.ndarray]:
    return load(folder / "classifiers" / "global.fgan")


@pytest.mark.long
def test_a_run_learns_and_shows_what_it_mistakes(simulate):
    folder = simulate(
        f"{PLAIN} federation.rounds=6 classifier.learning_rate=0.1 target=test_accuracy:0.5",
        pictures=True,
    )
    rounds = pd.read_csv(folder / "rounds.csv")
    assert rounds.test_accuracy.iloc[-1] > 0.85  # of ten classes
    assert rounds.test_loss.iloc[-1] < 0.6 < rounds.test_loss.iloc[0]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["final"]["test_accuracy"] == rounds.test_accuracy.iloc[-1]
    assert 1 <= summary["to_target"]["rounds_to_target"] <= 6
    counts = pd.read_csv(folder / "confusion.csv", index_col="class")
    test = load_federation(f"resume={folder}").dataset.test
    assert counts.sum(axis=1).tolist() == np.bincount(test.y_N).tolist()
    accuracy = np.trace(counts.to_numpy()) / len(test)
    assert accuracy == pytest.approx(rounds.test_accuracy.iloc[-1])
    recalls = np.diag(counts.to_numpy()) / counts.sum(axis=1)
    found = [summary["by_class"][name]["test_accuracy"] for name in "0123456789"]
    assert found == pytest.approx(list(recalls))
    assert found[int(summary["worst_class"]["test_accuracy"])] == min(found)
    assert all((folder / f"{name}.png").stat().st_size > 5000 for name in ("confusion", "rounds"))


@pytest.mark.parametrize("prune", [0.0, 0.2])
@pytest.mark.parametrize("distil", ["true", "false"])
@pytest.mark.parametrize("codec", ["sparse", "sparse:int8"])
def test_every_combination_sends_what_it_says(simulate, prune, distil, codec):
    folder = simulate(
        f"{PLAIN} {SHORT} classifier.prune={prune} classifier.distil={distil} codec={codec}"
    )
    arrays = global_weights(folder)
    hidden = [62] if distil == "true" else [128, 64]
    sizes = [64, *hidden, 10]
    shapes = [array.shape for array in arrays.values()]
    expected = [s for a, b in pairwise(sizes) for s in ((b, a), (b,))]
    assert shapes == expected
    messages = pd.read_csv(folder / "messages.csv")
    up = messages[messages.direction == "up"]
    weights = [round(a * b * (1 - prune)) for a, b in pairwise(sizes)]
    assert (up.nonzero <= sum(weights) + sum(sizes[1:])).all()
    whole = 4 * up.parameters
    assert (up.payload_bytes < (0.32 if codec == "sparse:int8" else 1.02) * whole).all()
    if prune and codec == "sparse":
        upload = load(folder / "classifiers" / "client-00000.fgan").values()
        kept_weights = [np.count_nonzero(a) for a in upload if a.ndim == 2]
        assert kept_weights == weights


@pytest.mark.long
def test_fedprox_holds_clients_near_the_broadcast(simulate):
    def drift(mu: float) -> float:
        folder = simulate(
            f"{PLAIN} strategy=fedprox strategy.proximal_mu={mu} federation.rounds=1 "
            "evaluation=none classifier.passes=5",
            folder=f"mu{mu}",
        )
        return moved(folder)

    drifts = [drift(mu) for mu in (0.0, 1.0, 20.0)]
    assert drifts[0] > drifts[1] > drifts[2] > 0


@pytest.mark.long
def test_a_resumed_run_is_the_same_and_teaches_no_teacher_again(simulate, monkeypatch):
    settings = "experiment=classifier federation.rounds=4 evaluation=server"
    whole = simulate(settings, folder="whole")
    fit, teach = ClassifierClient.fit, ClassifierClient._teacher_logits

    def failing(self, parameters, config):
        if config["round"] == 3:
            raise RuntimeError("out of luck")
        return fit(self, parameters, config)

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierClient, "fit", failing)
        with pytest.raises(TrainingError, match="round 3"):
            simulate(settings, folder="part")
    part = whole.parent / "part"
    taught = []
    monkeypatch.setattr(
        ClassifierClient,
        "_teacher_logits",
        lambda self: taught.append(len(self._state)) or teach(self),
    )
    resume(part)
    assert taught
    assert all(taught), "the state of each client is there"
    assert same_run(whole, part)
    ends = global_weights(whole), global_weights(part)
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.long
def test_processes_give_the_bytes_and_states_of_one_process(simulate):
    script = f"experiment=classifier {SHORT}"
    folders = [simulate(script, folder=name, backend=name) for name in ("inline", "processes")]
    assert same_run(*folders)
    assert kept(folders[0], "classifiers") == kept(folders[1], "classifiers")


@pytest.mark.slow
def test_so_does_ray(simulate):
    pytest.importorskip("ray")
    inline = simulate("experiment=classifier federation.rounds=2", folder="inline")
    other = inline.parent / "ray"
    other.mkdir()
    (other / "config.yaml").write_text((inline / "config.yaml").read_text())
    command = [sys.executable, "-m", "flwr_gan.cli", "--app", "flwr_gan", "--backend", "ray"]
    subprocess.run([*command, "--run-config", f"resume={other}"], check=True, timeout=600)
    assert same_run(inline, other)


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        "evaluation=clients",
        "strategy=fedbuff links=mixed strategy.buffer_size=2",
        "strategy=masked_fedavg",
        "links=mixed devices=mixed also_codecs=[zlib] codec=sparse",
        "data=strokes data.num_samples=200",
        "data=textures data.patches=16 data.size=8 classifier.distil=printed",
        "seeded_start=true codec=topk:0.1+int4 logger=tensorboard",
    ],
)
def test_it_goes_with_what_the_app_has(simulate, settings):
    folder = simulate(f"experiment=classifier federation.rounds=2 {settings}")
    rounds = pd.read_csv(folder / "rounds.csv")
    assert rounds.test_accuracy.between(0, 1).all()
    assert len(rounds) == 2


@pytest.mark.long
def test_the_clock_counts_the_steps_of_each_client(simulate):
    folder = simulate(
        f"{PLAIN} {SHORT} links=lan classifier.batch_size=10 partition=dirichlet "
        "clock.s_per_iteration=1"
    )
    timeline = pd.read_csv(folder / "timeline.csv")
    sizes = load_federation(f"resume={folder}").sizes
    found = timeline.groupby("client").compute_s.first()
    assert found.tolist() == [-(-size // 10) for size in sizes]


GANS = "is for GANs, and classifier is set: give"


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("privacy=dp_critic", f"privacy {GANS} privacy=none"),
        ("drift=style", f"drift {GANS} drift=none"),
        ("regeneration=rg", f"regeneration {GANS} regeneration=none"),
        ("method=factored", f"method {GANS} method=none"),
        ("federation.clients_at_once=2", f"federation.clients_at_once {GANS}"),
        ("target=frechet_distance:2", f"target {GANS} target=test_accuracy:0.9"),
        ("strategy=generator_pool", "GeneratorPool is for generators, and classifier is set: use"),
        ("strategy=distilled_pool", "DistilledPool is for generators"),
        ("strategy=federated_ticket", "FederatedTicket is for generators"),
        ("strategy=continual", "ContinualFedAvg is for generators"),
        ("classifier.prune=1", "classifier.prune=1 is not allowed: give a number"),
        ("classifier.distil=maybe", "classifier.distil='maybe' is not allowed: give false or true"),
        ("classifier.hidden=[0]", "classifier.hidden"),
        ("classifier=none", "classifier lacks hidden, batch_size, learning_rate"),
    ],
)
def test_what_does_not_apply_is_one_line(tmp_path, settings, message):
    rounds = "" if "pool" in settings or "ticket" in settings else "federation.rounds=1"
    given = f"experiment=classifier federation.rounds=null {rounds} {settings}"
    with pytest.raises(ConfigError) as info:
        prepare_run_config(f"{given} output_dir={tmp_path / 'run'}", None)
    assert message in str(info.value)
    assert "\n" not in str(info.value)
    assert not (tmp_path / "run").exists()


def test_a_measure_of_classifiers_is_no_target_of_a_gan():
    with pytest.raises(ConfigError, match="is for classifiers: give classifier=simple"):
        load_federation("target=test_accuracy:0.9")


def test_weights_that_are_not_finite_are_a_failure(simulate):
    with pytest.raises(TrainingError, match="lower classifier"):
        simulate(f"{PLAIN} {SHORT} classifier.learning_rate=1e30")


def numpy_int8(network: torch.nn.Sequential, x_BI: np.ndarray) -> np.ndarray:
    """Compute paper 001's algorithm 2 with numpy: a scale per output and one per sample."""

    def coded(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scale = np.abs(a).max(axis=1, keepdims=True) / np.float32(127.5)
        return np.clip(np.round(a * (1 / scale)), -128, 127).astype(np.int32), scale

    for layer in (m for m in network if isinstance(m, torch.nn.Linear)):
        weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
        (w, w_scale), (x, x_scale) = coded(weight), coded(x_BI)
        out = (x @ w.T) * x_scale * w_scale.T + bias
        x_BI = np.maximum(out, 0).astype(np.float32)
    return out


@pytest.fixture
def trained(simulate):
    return simulate(f"{PLAIN} federation.rounds=4 classifier.learning_rate=0.1")


@pytest.mark.long
def test_int8_inference_is_what_numpy_computes(trained):
    pytest.importorskip("torchao")
    federation = load_federation(f"resume={trained}")
    network = federation.initial()
    load_network_arrays(network, global_weights(trained))
    x_NI, y_N = federation.tensors(federation.dataset.test)
    with torch.no_grad():
        found, exact = int8(network)(x_NI).numpy(), network(x_NI).numpy()
    expected = numpy_int8(network, x_NI.numpy())
    # A value between two steps may be rounded to either: one step of one input, at most.
    assert np.quantile(np.abs(found - expected), 0.9) < 1e-4
    assert np.abs(found - expected).max() < 0.1 * np.abs(found - exact).max()
    assert 1e-3 < np.abs(found - exact).max() < 0.5
    assert abs(measure(int8(network), x_NI, y_N)[0] - measure(network, x_NI, y_N)[0]) < 0.02
    assert delay_ms(network, x_NI[:1], repeats=3) > 0


@pytest.mark.long
def test_fgan_quantise_measures_int8_beside_float32(trained, capsys):
    pytest.importorskip("torchao")
    from flwr_gan.app.fgan import main as fgan

    assert fgan(["quantise", str(trained)]) == 0
    table = pd.read_csv(trained / "int8.csv", index_col="weights")
    summary = json.loads((trained / "summary.json").read_text())
    assert table.test_accuracy["float32"] == summary["final"]["test_accuracy"]
    assert table.bytes["int8"] < 0.5 * table.bytes["float32"]
    assert (table[["delay_1_ms", "delay_256_ms"]] > 0).all(axis=None)
    assert "int8" in capsys.readouterr().out
    for name in table.index:
        path = trained / "classifiers" / f"{name}.pt"
        assert path.stat().st_size == table.bytes[name]
        assert len(torch.load(path, weights_only=True)) == 6


@pytest.mark.long
def test_fgan_quantise_refuses_a_gan_and_names_the_extra(simulate, trained, monkeypatch, capsys):
    from flwr_gan.app.fgan import main as fgan

    gan = simulate("strategy=fedavg federation.rounds=1 evaluation=none", folder="gan")
    assert fgan(["quantise", str(gan)]) == 2
    assert "holds a GAN: give the folder of a run with classifier=simple" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    assert fgan(["quantise", str(trained)]) == 2
    assert "pip install 'flwr-gan[quantise]'" in capsys.readouterr().err


def test_a_generator_is_not_asked_of_a_classifier(trained, tmp_path, capsys):
    from flwr_gan.app.fgan import main as fgan

    assert fgan(["sample", str(trained), "--output", str(tmp_path / "a.png")]) != 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "generators/global.fgan" in said
