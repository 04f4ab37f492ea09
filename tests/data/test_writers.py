"""Writer-disjoint splits."""

import numpy as np
import pytest

from flwr_gan.data import Samples
from flwr_gan.data.writers import split_by_writer
from flwr_gan.errors import ConfigError


def make_samples(num_writers: int) -> Samples:
    writer_N = np.repeat(np.arange(num_writers), 3)
    x_NTC = np.zeros((len(writer_N), 1, 1), dtype=np.float32)
    return Samples(x_NTC, np.zeros(len(writer_N), dtype=np.int64), writer_N)


@pytest.mark.parametrize(("fraction", "expected"), [(0.25, 3), (0.001, 1), (0.999, 10)])
def test_parts_share_no_writer(fraction: float, expected: int) -> None:
    train, test = split_by_writer(make_samples(11), test_fraction=fraction, split_seed=0)
    assert train.writer_N is not None
    assert test.writer_N is not None
    train_writers, test_writers = set(train.writer_N.tolist()), set(test.writer_N.tolist())
    assert len(test_writers) == expected
    assert not train_writers & test_writers
    assert train_writers | test_writers == set(range(11))
    assert len(train) + len(test) == 33


def test_the_seed_decides() -> None:
    samples = make_samples(40)
    parts = [split_by_writer(samples, test_fraction=0.5, split_seed=seed)[1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(parts[0].writer_N, parts[1].writer_N)
    assert set(parts[0].writer_N) != set(parts[2].writer_N)


def test_a_fraction_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        split_by_writer(make_samples(3), test_fraction=1.0, split_seed=0)
