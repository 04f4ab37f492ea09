"""Scores of real, wrong, broken and few samples."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.datasets import load_digits

from flwr_gan.errors import DataError
from flwr_gan.metrics import SampleJudge

KEYS = {
    "frechet_distance",
    "precision",
    "recall",
    "density",
    "coverage",
    "conditional_accuracy",
    "synthetic_accuracy",
}


@dataclass
class Real:
    x_NTC: np.ndarray
    y_N: np.ndarray


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8) / 8 - 1).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], labels[order].astype(np.int64)
    return Real(x[:1200], y[:1200]), Real(x[1200:], y[1200:])


@pytest.fixture(scope="module")
def judge(digits):
    return SampleJudge(*digits, num_classes=10, seed=0)


@pytest.mark.long
def test_real_samples_score_high_and_noise_scores_low(judge, digits):
    train, _ = digits
    real = judge.real_scores
    noise = np.random.default_rng(0).uniform(-1, 1, (500, 8, 8)).astype(np.float32)
    scores = judge.score(noise, train.y_N[:500], 0)
    assert set(scores) == KEYS
    assert judge.real_accuracy > 0.95
    assert real["synthetic_accuracy"] > 0.95
    assert real["conditional_accuracy"] == judge.real_accuracy
    learnt = judge.score(train.x_NTC, train.y_N, 0)
    assert min(learnt[k] for k in ("precision", "recall", "coverage")) > 0.9
    assert scores["frechet_distance"] > 20 * learnt["frechet_distance"]
    assert scores["conditional_accuracy"] < 0.3
    assert scores["coverage"] < 0.2
    json.dumps(scores)


@pytest.mark.long
def test_wrong_labels_are_noticed(judge, digits):
    train, _ = digits
    scores = judge.score(train.x_NTC, (train.y_N + 1) % 10, 0)
    assert scores["conditional_accuracy"] < 0.05
    assert scores["synthetic_accuracy"] < 0.05
    right = judge.score(train.x_NTC, train.y_N, seed=0)
    assert scores["frechet_distance"] == pytest.approx(right["frechet_distance"])


@pytest.mark.long
def test_the_reference_is_of_samples_that_the_judge_has_not_learnt(judge, digits):
    train, test = digits
    shuffled = Real(train.x_NTC, np.random.default_rng(1).permutation(train.y_N))
    learnt_by_heart = SampleJudge(shuffled, test, num_classes=10, seed=0)
    assert learnt_by_heart.recognised(shuffled.x_NTC, shuffled.y_N) > 0.5
    assert learnt_by_heart.real_scores["conditional_accuracy"] < 0.25
    assert judge.real_scores["conditional_accuracy"] < judge.recognised(train.x_NTC, train.y_N)


@pytest.mark.long
def test_another_classifier_takes_the_place_of_the_small_one(digits):
    class Constant:
        def accuracy(self, x_NTC, y_N):
            return 0.5

        def posteriors(self, x_NTC):
            return np.full((len(x_NTC), 10), 0.1)

        def features(self, x_NTC):
            return x_NTC.reshape(len(x_NTC), -1)[:, :4].astype(np.float64)

    train, test = digits
    judge = SampleJudge(train, test, num_classes=10, seed=0, classifier=Constant())
    assert judge.real_scores["conditional_accuracy"] == 0.5
    assert judge.full_score(train.x_NTC, None, 0)["inception_score"] == pytest.approx(1.0)


def test_scores_depend_on_the_seeds_alone(quick_judge, digits):
    train, test = digits
    x, y = train.x_NTC[:300], train.y_N[:300]
    first, again = (
        SampleJudge(train, test, num_classes=10, seed=0).score(x, y, 5) for _ in range(2)
    )
    assert first == again


def test_more_samples_than_needed_are_drawn_from(quick_judge, digits):
    train, test = digits
    judge = SampleJudge(train, test, num_classes=10, seed=0, max_train=200, max_samples=100)
    scores = [judge.score(train.x_NTC, train.y_N, seed) for seed in (0, 0, 1)]
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]


def test_few_samples_and_missing_classes_are_fine(judge, digits):
    train, _ = digits
    same = train.y_N == 3
    scores = judge.score(train.x_NTC[same][:2], train.y_N[same][:2], 0)
    assert set(scores) == KEYS
    assert all(np.isfinite(value) for value in scores.values())


def test_broken_samples_are_refused(judge, digits):
    train, _ = digits
    x, y = train.x_NTC[:10].copy(), train.y_N[:10]
    x[[2, 5], 0, 0] = np.nan, np.inf
    with pytest.raises(DataError, match="2 of 10 samples hold values that are not finite"):
        judge.score(x, y, 0)
    with pytest.raises(DataError, match="at least 2"):
        judge.score(x[:1], y[:1], 0)
    with pytest.raises(DataError, match="10 samples with 9 labels"):
        judge.score(x, y[:9], 0)
