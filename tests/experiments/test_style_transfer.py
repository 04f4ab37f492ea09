"""Style transfer: the cycle loss, pairs that are only scored with, what a training depends on."""

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.style_transfer.__main__ import SHORT, main
from experiments.style_transfer.cases import CONFIG, PRUNED_FRACTION, WAYS, Case
from experiments.style_transfer.styles import drawn, in_style_B, load_styles
from experiments.style_transfer.translation import Translation, cycle_loss
from flwr_gan.gan.critic_gradients import gradients_of
from flwr_gan.gan.losses import generator_loss
from flwr_gan.gan.weights import network_arrays


@pytest.fixture(scope="module")
def styles():
    return load_styles(0, SHORT["num_samples"])


@pytest.fixture(scope="module")
def batches(styles):
    B = CONFIG.batch_size
    return [torch.from_numpy(part.x_NTC[:B]) for part in (styles.train_A, styles.train_B)]


def translation(weight, batches):
    return Translation(tuple(batches[0].shape[1:]), config=CONFIG, cycle_weight=weight, seed=0)


def adversarial(trained, batches):
    return [
        generator_loss(critic, forth(x_BTC), torch.zeros(len(x_BTC), dtype=torch.int64))
        for forth, critic, x_BTC in zip(trained.translators, trained.critics, batches, strict=True)
    ]


def test_the_cycle_loss_is_the_mean_absolute_difference():
    x, back = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    expected = sum(abs(float(a) - float(b)) for a, b in zip(x.flat, back.flat, strict=True)) / 60
    assert float(cycle_loss(torch.from_numpy(back), torch.from_numpy(x))) == pytest.approx(expected)


@pytest.mark.long
def test_both_ways_count_with_the_weight(batches):
    trained = translation(3.0, batches)
    forth, back = trained.translators
    a, b = batches
    with torch.no_grad():
        ways = [(a, back(forth(a))), (b, forth(back(b)))]
        expected = sum(3 * np.abs(end.numpy() - begin.numpy()).mean() for begin, end in ways)
        expected += float(sum(adversarial(trained, batches)))
        assert float(trained.loss(batches)) == pytest.approx(expected, rel=1e-5)


def test_without_weight_the_cycle_has_no_gradient(batches):
    plain, cyclic = translation(0.0, batches), translation(10.0, batches)
    alone = gradients_of(sum(adversarial(plain, batches)), plain.translators)
    for first, second in zip(
        gradients_of(plain.loss(batches), plain.translators), alone, strict=True
    ):
        torch.testing.assert_close(first, second)
    with_it = gradients_of(cyclic.loss(batches), cyclic.translators)
    assert not any(map(torch.equal, with_it, alone))


def test_pairs_are_the_same_drawings_turned_and_slanted(styles):
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    dx, dy, pen = np.moveaxis(styles.pair_A.x_NTC.astype(np.float64), -1, 0)
    x = dx + 0.3 * dy
    expected = np.stack([c * x - s * dy, s * x + c * dy, pen], axis=-1)
    np.testing.assert_allclose(styles.pair_B.x_NTC, np.clip(expected, -1, 1), atol=1e-6)
    np.testing.assert_array_equal(styles.pair_A.y_N, styles.pair_B.y_N)


def test_no_pair_is_in_the_training_sets(styles):
    def contents(samples):
        return {x_TC.tobytes() for x_TC in samples.x_NTC}

    in_B = in_style_B(styles.train_A, drawn(0, "style A", SHORT["num_samples"]))
    assert not contents(in_B) & contents(styles.train_B)
    assert not contents(styles.pair_A) & contents(styles.train_A)
    assert not contents(styles.pair_B) & (contents(styles.train_B) | contents(styles.real_B))


def test_a_training_depends_on_its_seed_alone(styles):
    def weights(way, seed):
        case = Case(way=way, seed=seed, **SHORT)
        return network_arrays(case.trained(styles).translators)

    first, again, other = weights("cycle", 0), weights("cycle", 0), weights("cycle", 1)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert not np.array_equal(array, other[name])


def test_pruned_weights_stay_pruned(styles):
    forth, back = Case(way="pruned", seed=0, **SHORT).trained(styles).translators
    weights = [a for a in network_arrays(forth).values() if a.ndim > 1]
    size = sum(a.size for a in weights)
    assert sum(map(np.count_nonzero, weights)) == size - round(PRUNED_FRACTION * size)
    assert all(a.all() for a in network_arrays(back).values())


@pytest.mark.long
def test_the_short_study_runs_once_and_writes_everything(tmp_path, capsys):
    given = ["--short", "--folder", str(tmp_path)]
    assert main(given) == 0
    runs = pd.read_csv(tmp_path / "results" / "runs.csv").set_index("way")
    assert list(runs.index) == list(WAYS)
    assert runs.loc["truth", "squared_difference"] == 0
    assert runs.loc["truth", "iou"] == 1
    assert runs.loc["pruned", "payload_bytes"] < runs.loc["cycle", "payload_bytes"] / 2
    assert (tmp_path / "results" / "samples.png").stat().st_size > 10_000
    assert "with cycle loss" in (tmp_path / "results" / "tables.md").read_text()
    capsys.readouterr()
    assert main(given) == 0
    assert "0 of 5 runs to do" in capsys.readouterr().out


def test_an_unknown_way_is_one_line(tmp_path, capsys):
    assert main(["--ways", "magic", "--folder", str(tmp_path)]) != 0
    error = capsys.readouterr().err
    assert "--ways magic: allowed are none, adversarial, cycle, pruned, truth" in error
    assert error.count("\n") == 1
