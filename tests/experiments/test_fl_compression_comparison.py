"""Paper 001 in small: the formulas, one federated run, and the command."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional
from torch.nn.utils import parameters_to_vector

from experiments.papers.fl_compression_comparison import cases, results, task
from experiments.papers.fl_compression_comparison.__main__ import main
from experiments.papers.fl_compression_comparison.cases import Case
from experiments.papers.fl_compression_comparison.printed import (
    mask_as_meant,
    mask_as_printed,
    scale_as_meant,
    scale_as_printed,
)
from experiments.papers.fl_compression_comparison.runs import prepared, run_case
from experiments.papers.fl_compression_comparison.setting import (
    BY_NAME,
    DENSE_BYTES,
    METHODS,
    STUDENT_SIZES,
    TABLE_5,
    TEACHER_SIZES,
    Hyperparameters,
)
from flwr_gan.app import federation
from flwr_gan.app.classifier import client
from flwr_gan.app.classifier.client import pruned
from flwr_gan.app.classifier.network import new_network, shuffled, train
from flwr_gan.engine.clock import FLOWER
from flwr_gan.gan import load_network_arrays, network_arrays
from flwr_gan.methods.classifier_distillation import (
    cross_entropy_gradient,
    printed_gradient,
    printed_loss,
)
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import decode_payload, encode_payload

TINY = Hyperparameters(num_rounds=2, num_samples=120, teacher_passes=1)


@pytest.fixture(autouse=True)
def small_data(monkeypatch, bars):
    """Put ten bright bars and noise in the place of Fashion-MNIST."""
    data = bars(200, 60)
    monkeypatch.setattr(task, "fashion_mnist", lambda **places: data)
    for cached in (federation._dataset, federation.federation_of):
        cached.cache_clear()


def make(method="none", *, partition="iid", algorithm="fedavg", seed=0, settings=TINY):
    return Case(
        partition=partition, algorithm=algorithm, method=BY_NAME[method], seed=seed,
        hyperparameters=settings,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path):
    return lambda case: run_case(case, tmp_path / case.name)


def flat(network):
    return parameters_to_vector(network.parameters()).detach()


def logits(seed, count=6):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, 10)) * 3)


def test_both_networks_have_the_papers_size():
    teacher, student = new_network(TEACHER_SIZES, seed=0), new_network(STUDENT_SIZES, seed=0)
    assert flat(teacher).numel() == 109_386
    assert flat(student).numel() == 49_300
    assert round(49_300 / 109_386, 2) == TABLE_5["d"].ratio
    assert DENSE_BYTES == 4 * 109_386


def test_all_eight_combinations_are_there_once():
    combinations = {(m.prune, m.quantise, m.distil) for m in METHODS}
    assert len(METHODS) == len(combinations) == 8
    assert list(TABLE_5) == [method.name for method in METHODS]


@pytest.mark.parametrize("sizes", [(5, 4, 3, 10), (5, 6, 10)])
def test_gradients_in_closed_form_are_those_of_autograd(sizes):
    network = new_network(sizes, seed=1)
    x, y = torch.randn(7, 5, generator=torch.Generator().manual_seed(0)), torch.arange(7)
    weights = [weight.detach().clone().requires_grad_() for weight in network.parameters()]
    before = flat(network).clone()
    train(network, x, cross_entropy_gradient, iter([y]), learning_rate=1.0, momentum=0.0)
    own = before - flat(network)
    out = x
    for layer in range(0, len(weights), 2):
        out = functional.linear(out if layer == 0 else out.relu(), *weights[layer : layer + 2])
    gradients = torch.autograd.grad(functional.cross_entropy(out, y), weights)
    torch.testing.assert_close(own, torch.cat([part.reshape(-1) for part in gradients]))
    assert own.abs().max() > 0.01


def test_the_gradient_of_the_printed_loss_is_that_of_autograd():
    z, t, y = logits(0).requires_grad_(), logits(1), torch.arange(6)
    (expected,) = torch.autograd.grad(printed_loss(z, t, y, alpha=0.3, temperature=2.0), z)
    own = printed_gradient(z.detach(), t, y, alpha=0.3, temperature=2.0)
    torch.testing.assert_close(own, expected)


def test_distillation_as_printed_uses_no_labels_and_takes_softmax_twice():
    z, t = logits(0), logits(1)
    losses = {
        float(printed_loss(z, t, y, alpha=0.5, temperature=2.0))
        for y in (torch.arange(6), torch.zeros(6, dtype=torch.int64))
    }
    assert len(losses) == 1
    sure = torch.full((1, 10), -50.0)
    sure[0, 3] = 50.0
    # Even a student that is the teacher, and sure, pays: softmax of a one-hot vector is no one-hot.
    loss = printed_loss(sure, sure, torch.tensor([3]), alpha=1.0, temperature=1.0)
    assert float(loss) == pytest.approx(np.log(np.e + 9) - 1, abs=1e-5)


def test_pruning_takes_the_smallest_magnitudes_and_spares_negative_weights():
    weights = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    bias = weights[0]
    found = pruned({"weight": weights, "bias": bias}, 0.2)
    left = found["weight"]
    assert (left == 0).sum() == 40
    assert np.abs(weights[left == 0]).max() < np.abs(left[left != 0]).min()
    assert (left < 0).any()
    assert np.array_equal(left, mask_as_meant(weights, 0.2))
    assert found["bias"] is bias


def test_the_printed_mask_drops_all_negative_weights():
    weights = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    assert not (mask_as_printed(weights, 0.2) < 0).any()


def test_quantisation_on_the_wire_is_equation_6_with_scale_127():
    weights = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32)
    step = np.abs(weights).max() / 127
    payload = encode_payload({"0": weights}, codec=BY_NAME["q"].codec)
    meant, wire = scale_as_meant(weights), decode_payload(payload)["0"]
    np.testing.assert_allclose(wire, meant, atol=1e-6)
    assert np.abs(meant - weights).max() <= step / 2 + 1e-6


def test_the_printed_scale_saturates_half_of_the_range():
    weights = np.array([[-1.0, -0.5, 0.25, 1.0]], dtype=np.float32)
    printed = scale_as_printed(weights)
    np.testing.assert_allclose(printed, [[-128 / 255, -128 / 255, 64 / 255, 127 / 255]], rtol=1e-6)


def test_splits_deal_every_sample_once_or_to_everybody():
    for partition in ("iid", "dirichlet"):
        parts = prepared(make(partition=partition)).split
        joined = np.concatenate(parts)
        assert len(parts) == 3
        assert len(joined) == len(set(joined)) == 120
    parts = prepared(make(partition="whole")).split
    assert [len(part) for part in parts] == [120] * 3


@pytest.mark.long
@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox"])
def test_the_uncompressed_run_is_federated_averaging(run, algorithm):
    case = make(algorithm=algorithm, settings=replace(TINY, batch_size=16))
    outcome = run(case)
    data, settings = prepared(case), case.hyperparameters
    model = new_network(TEACHER_SIZES, seed=derive_seed(0, "initial weights"))
    for server_round in (1, 2):
        before, trained = network_arrays(model), []
        for number in range(3):
            load_network_arrays(model, before)
            x, y = data.tensors(data.samples_of(number))
            seed = derive_seed(0, "order", round=server_round, partition=number)
            rng = torch.Generator().manual_seed(seed)
            train(
                model, x, lambda z, at, y=y: cross_entropy_gradient(z, y[at]),
                shuffled(len(y), batch_size=16, passes=1, rng=rng), learning_rate=0.01,
                momentum=0.9, proximal_mu=settings.proximal_mu if algorithm == "fedprox" else 0.0,
            )  # fmt: skip
            trained.append(network_arrays(model))
        load_network_arrays(
            model, {name: np.mean([part[name] for part in trained], axis=0) for name in before}
        )
    for own, expected in zip(outcome.network.parameters(), model.parameters(), strict=True):
        np.testing.assert_allclose(own.detach(), expected.detach(), atol=1e-7)
    sent = outcome.messages[(outcome.messages.codec == "raw") & (outcome.messages.kind == "train")]
    assert len(sent) == 2 * 3 * 2
    assert (sent.payload_bytes > DENSE_BYTES).all()
    assert (sent.payload_bytes < DENSE_BYTES + 100).all()


@pytest.mark.long
@pytest.mark.usefixtures("without_pictures")
def test_fedprox_stays_nearer_to_where_it_started(run):
    strong = replace(TINY, proximal_mu=20.0, batch_size=8, num_rounds=1)
    start = flat(new_network(TEACHER_SIZES, seed=derive_seed(0, "initial weights")))
    free, held = (
        flat(run(make(algorithm=name, settings=strong)).network) for name in ("fedavg", "fedprox")
    )
    assert (held - start).norm() < 0.9 * (free - start).norm()


@pytest.mark.long
@pytest.mark.usefixtures("without_pictures")
def test_all_three_techniques_send_a_pruned_student_in_bytes(run, monkeypatch):
    trainings = []
    monkeypatch.setattr(client, "train", lambda *a, **k: (trainings.append(k), train(*a, **k)))
    outcome = run(make("pqd"))
    shapes = [array.shape for array in outcome.upload.values()]
    assert shapes == [(62, 784), (62,), (10, 62), (10,)]
    weights = [array for array in outcome.upload.values() if array.ndim == 2]
    assert [int((a == 0).sum()) for a in weights] == [round(0.2 * a.size) for a in weights]
    up = outcome.messages[(outcome.messages.kind == "train") & (outcome.messages.direction == "up")]
    assert (up.payload_bytes < 49_300).all()
    assert len(trainings) == 3 * 2 + 3  # each client's rounds, and its teacher once
    assert outcome.rounds.drop(columns=["compute_s", "teacher_s"]).equals(
        run(make("pqd")).rounds.drop(columns=["compute_s", "teacher_s"])
    )


def call(tmp_path, *arguments):
    places = ["--folder", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    return main(["--short", "--samples", "120", *places, *arguments])


@pytest.mark.slow
def test_the_command_runs_once_and_writes_tables_and_figures(tmp_path, forbid, capsys):
    words = ("--methods", "none,pq", "--rounds", "1", "--algorithms", "fedavg")
    assert call(tmp_path, *words) == 0
    out = capsys.readouterr().out
    assert "9/9" in out
    assert "min left" in out
    place = tmp_path / "results"
    table = pd.read_csv(place / "table5.csv")
    assert len(table) == 2 * 2
    assert set(table["paper_accuracy"]) == {93.84, 92.21}
    ratios = table.groupby("method")["ratio"].mean()
    assert ratios["none"] == pytest.approx(1.0, abs=1e-3)
    assert ratios["pq"] < 0.25
    record = json.loads((place / "run.json").read_text())
    assert record["runs"] == 9
    assert record["missing"] == []
    assert "| all three |" not in (place / "tables.md").read_text()
    figures = ("fig4_fedavg.png", "fig5.png")
    assert all((place / name).stat().st_size > 5000 for name in figures)

    forbid(cases, "run_case")
    assert call(tmp_path, *words) == 0
    assert "0 of 9 runs to do" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.usefixtures("without_pictures")
def test_a_failed_run_is_shown_and_the_rest_goes_on(tmp_path, monkeypatch, break_where, capsys):
    real = cases.run_case
    break_where(cases, "run_case", lambda case, folder: case.method.name == "q")
    words = ("--methods", "none,q", "--partitions", "iid", "--no-controls")
    words += ("--algorithms", "fedavg")
    assert call(tmp_path, *words) == 1
    said = capsys.readouterr()
    assert "iid3_fedavg_q_seed0: failed: ValueError: out of luck" in said.out
    assert said.err.strip().endswith("1 of 2 runs failed; see above")
    assert list(pd.read_csv(tmp_path / "results" / "runs.csv")["method"]) == ["none"]
    monkeypatch.setattr(cases, "run_case", real)
    assert call(tmp_path, *words) == 0
    assert "1 of 2 runs to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--methods", "none,x"), "--methods x: allowed are none, p, q, d, pq, pd, qd, pqd"),
        (("--partitions", "whole"), "--partitions whole: allowed are iid, dirichlet"),
        (("--algorithms", "fedadam"), "--algorithms fedadam: allowed are fedavg, fedprox"),
        (("--seeds", "one"), "--seeds one is not allowed: give whole numbers from 0"),
        (("--methods", "p,p"), "--methods p,p names something twice: name each once"),
        (("--rounds", "0"), "num_rounds=0 is not allowed: give at least 1"),
        (("--samples", "100000"), "--samples 100000: there are 200 training samples"),
        (("--link-mbit", "0"), "--link-mbit 0.0 is not allowed: give more than 0"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, words, message):
    assert call(tmp_path, *words) == 2
    assert capsys.readouterr().err == f"fl_compression_comparison: {message}\n"
    assert not (tmp_path / "runs").exists()


@pytest.mark.long
@pytest.mark.usefixtures("without_pictures")
def test_a_folder_of_other_settings_is_refused(tmp_path, capsys):
    words = ("--methods", "none", "--partitions", "iid", "--no-controls")
    words += ("--algorithms", "fedavg")
    assert call(tmp_path, *words) == 0
    assert call(tmp_path, *words, "--rounds", "1") == 2
    assert "holds results of other settings" in capsys.readouterr().err


def test_a_report_needs_a_finished_run(tmp_path, capsys):
    assert call(tmp_path, "--report") == 1
    assert "is finished: run it without --report first" in capsys.readouterr().err


def test_differences_are_paired_by_seed():
    place = {"partition": "iid", "clients": 3, "algorithm": "fedavg"}
    rows = [
        place | {"method": method, "seed": seed} | dict.fromkeys(results.MEASURES, value)
        for method, values in (("none", (0.1, 0.5)), ("p", (0.2, 0.6)))
        for seed, value in enumerate(values)
    ]
    (row,) = results.to_uncompressed(pd.DataFrame(rows)).to_dict("records")
    assert row["test_accuracy"] == pytest.approx(0.1)
    assert row["test_accuracy_half_width"] == pytest.approx(0, abs=1e-9)


def test_transfer_is_what_the_clock_says_of_the_slowest_client(tmp_path):
    case = make()
    rows = [
        {"round": r, "client": c, "direction": d, "kind": "train", "codec": case.method.codec,
         "payload_bytes": n, "message_bytes": n, "encode_s": 0.0, "decode_s": 0.0}
        for r, c, d, n in (
            (1, 0, "down", 1_000_000), (1, 0, "up", 1_000_000),
            (1, 1, "down", 1_000_000), (1, 1, "up", 3_000_000),
        )
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "messages.csv", index=False)
    rounds = pd.DataFrame([{"round": 1, "teacher_s": 0.0, "compute_s": 2.0}])
    row = cases.costs(case, tmp_path, rounds)
    slowest = 8 * (1_000_000 + FLOWER.down_bytes + 3_000_000 + FLOWER.up_bytes) / 1e6
    assert row["transfer_computed_s"] == pytest.approx(slowest / case.link_mbit)
    assert row["delay_1_s"] == pytest.approx(2.0 + slowest)
    assert row["delay_100_s"] == pytest.approx(2.0 + slowest / 100)
