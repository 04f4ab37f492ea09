"""The embedded digits."""

import numpy as np
import pytest

from flwr_gan.data.digits import load_digits
from flwr_gan.errors import ConfigError


def test_all_digits_are_there_and_each_class_is_split_alike() -> None:
    dataset = load_digits()
    assert (len(dataset.train), len(dataset.test)) == (1437, 360)
    assert dataset.train.x_NTC.shape[1:] == (8, 8)
    train, test = np.bincount(dataset.train.y_N), np.bincount(dataset.test.y_N)
    np.testing.assert_allclose(test / (train + test), 0.2, atol=0.01)


def test_no_sample_is_in_both_parts() -> None:
    dataset = load_digits()
    both = np.concatenate([dataset.train.x_NTC, dataset.test.x_NTC]).reshape(1797, -1)
    assert len(np.unique(both, axis=0)) == 1797
    assert (both.min(), both.max()) == (-1, 1)


def test_the_split_depends_on_its_seed_alone() -> None:
    np.random.seed(3)  # noqa: NPY002 - the global state must not matter
    first = load_digits(split_seed=1)
    np.random.seed(4)  # noqa: NPY002
    np.testing.assert_array_equal(first.test.x_NTC, load_digits(split_seed=1).test.x_NTC)
    assert (first.test.y_N != load_digits(split_seed=2).test.y_N).any()


@pytest.mark.parametrize("fraction", [0, 1, -0.1, "half", True, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.test_fraction="):
        load_digits(test_fraction=fraction)
