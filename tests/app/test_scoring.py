"""What the server scores, and what runs in one process share."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from flwr_gan.app import scoring
from flwr_gan.app.federation import load_federation
from flwr_gan.app.scoring import Scorer
from flwr_gan.gan import network_arrays
from flwr_gan.metrics import classifier
from tests.conftest import IMAGES, TINY


class Pool:
    """A strategy that draws samples of its own, of two classes."""

    held_classes = (3, 5)

    def sample(self, labels_N, seed):
        return np.full((len(labels_N), 8, 8), seed, np.float32)


def federation(settings: str = ""):
    return load_federation(f"{TINY} output_dir=unused {settings}")


@pytest.mark.long
def test_runs_that_share_data_and_seed_share_the_judge():
    first, second = Scorer(federation(), None), Scorer(federation("lottery.rate=0.5"), None)
    assert first.federation.dataset is second.federation.dataset
    assert first.judge is second.judge
    assert Scorer(federation("seed=9"), None).judge is not first.judge


def test_data_that_are_looked_for_elsewhere_are_loaded_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("FLWR_GAN_DATA", str(tmp_path))
    first = federation("seed=1").dataset
    monkeypatch.delenv("FLWR_GAN_DATA")
    assert federation("seed=2").dataset is not first


def test_a_strategy_that_draws_samples_is_asked_for_them():
    scorer = Scorer(federation(), Pool())
    assert list(scorer.classes) == [3, 5]
    assert (scorer.generate([], np.array([3, 5]), 7) == 7).all()


@pytest.mark.long
def test_otherwise_the_global_generator_is_what_is_scored():
    made = federation()
    weights = list(network_arrays(made.networks(1)[0]).values())
    scorer = Scorer(made, None)
    assert list(scorer.classes) == list(range(10))
    samples = scorer.generate(weights, np.arange(10), 0)
    np.testing.assert_array_equal(samples, scorer.generate(weights, np.arange(10), 0))
    row = scorer.score(1, weights, [])
    assert 0 <= row["synthetic_accuracy"] <= 1
    assert scorer.real_scores["synthetic_accuracy"] > row["synthetic_accuracy"]


def test_a_server_that_does_not_evaluate_makes_no_judge():
    scorer = Scorer(federation("evaluation=none"), None)
    assert scorer.score(1, [], []) == {}
    assert scorer.real_scores is None
    assert "judge" not in vars(scorer)


def test_scores_do_not_depend_on_the_threads_that_blas_would_take(monkeypatch):
    monkeypatch.setattr(classifier, "EPOCHS", (1, 2))
    made, rows = federation(f"{IMAGES} gan=sngan"), []
    for count in (1, 2):
        scorer = Scorer(made, None)
        scoring._judge.cache_clear()
        weights = list(network_arrays(made.networks(1)[0]).values())
        with threadpool_limits(count):
            rows.append(scorer.score(1, weights, []) | scorer.real_scores)
    scoring._judge.cache_clear()
    assert rows[0] == rows[1]
