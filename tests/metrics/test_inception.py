"""Inception-type score against its extremes and by hand."""

import numpy as np
import pytest

from flwr_gan.errors import DataError
from flwr_gan.metrics import inception_score


def test_sure_and_diverse_posteriors_reach_the_number_of_classes():
    assert inception_score(np.eye(10)[np.arange(200) % 10]) == pytest.approx(10)


def test_posteriors_that_are_all_alike_score_one_however_sure():
    assert inception_score(np.full((50, 10), 0.1)) == pytest.approx(1)
    assert inception_score(np.eye(10)[np.zeros(50, int)]) == pytest.approx(1)


def test_score_is_the_mean_divergence_from_the_mixture():
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    mixture = np.array([0.55, 0.45])
    divergence = (p * np.log(p / mixture)).sum(axis=1)
    assert inception_score(p) == pytest.approx(np.exp(divergence.mean()))


@pytest.mark.parametrize(
    ("posterior", "message"),
    [
        (np.empty((0, 3)), "at least 1"),
        (np.full((2, 3), 0.5), "no probabilities"),
        (np.array([[1.5, -0.5]]), "no probabilities"),
        (np.array([[np.nan, 1.0]]), "no probabilities"),
    ],
)
def test_what_is_no_posterior_is_refused(posterior, message):
    with pytest.raises(DataError, match=message):
        inception_score(posterior)
