"""Samples and data sets check themselves."""

import numpy as np
import pytest

from flwr_gan.data import Dataset, Samples
from flwr_gan.data.dataset import check_size, scaled, split_by_writer
from flwr_gan.errors import ConfigError, DataError


def make_samples(labels: list[int], *, value: float = 0.0, vectors: int = 2) -> Samples:
    shape = (len(labels), vectors, 3)
    return Samples(np.full(shape, value, dtype=np.float32), np.array(labels, dtype=np.int64))


def test_take_keeps_order_and_writers() -> None:
    x_NTC = np.linspace(-1, 1, 4, dtype=np.float32).reshape(4, 1, 1)
    samples = Samples(x_NTC, np.arange(4), np.array([5, 5, 6, 6]))
    taken = samples.take([3, 0])
    assert len(taken) == 2
    np.testing.assert_array_equal(taken.x_NTC, x_NTC[[3, 0]])
    np.testing.assert_array_equal(taken.y_N, [3, 0])
    np.testing.assert_array_equal(taken.writer_N, [6, 5])


def test_taking_nothing_gives_no_samples() -> None:
    assert len(make_samples([0, 1]).take([])) == 0


@pytest.mark.parametrize("value", [1.01, -1.01, np.nan, np.inf])
def test_values_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(DataError, match=r"\[-1, 1\]"):
        make_samples([0], value=value)


def test_wrong_types_and_shapes_are_refused() -> None:
    x_NTC = np.zeros((2, 1, 1), dtype=np.float32)
    y_N = np.zeros(2, dtype=np.int64)
    with pytest.raises(DataError, match="float32"):
        Samples(x_NTC.astype(np.float64), y_N)
    with pytest.raises(DataError, match=r"\(N, T, C\)"):
        Samples(x_NTC[0], y_N)
    with pytest.raises(DataError, match="two channels or more"):
        Samples(x_NTC[..., None], y_N)
    with pytest.raises(DataError, match="labels must be int64"):
        Samples(x_NTC, y_N[:1])
    with pytest.raises(DataError, match="writers must be int64"):
        Samples(x_NTC, y_N, y_N.astype(np.int32))


def test_a_data_set_knows_its_sizes() -> None:
    dataset = Dataset("toy", make_samples([0, 1]), make_samples([1]), ("a", "b"), "strokes")
    assert (dataset.num_classes, dataset.num_vectors, dataset.num_components) == (2, 2, 3)
    assert (dataset.num_channels, dataset.form) == (1, "2 x 3")


def test_images_in_colour_have_one_axis_more() -> None:
    samples = Samples(np.zeros((2, 4, 5, 3), np.float32), np.arange(2))
    dataset = Dataset("toy", samples, samples.take([1, 0]), ("a", "b"), "image")
    assert (dataset.num_vectors, dataset.num_components, dataset.num_channels) == (4, 5, 3)
    assert dataset.form == "4 x 5 x 3"
    assert make_samples([0]).take([0]).x_NTC.ndim == 3
    with pytest.raises(DataError, match="samples here are 4 x 5 x 3"):
        Dataset("toy", samples, samples, ("a", "b"), "strokes")


def test_bytes_are_scaled_to_the_range() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    x = scaled(pixels)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, pixels.astype(np.float32) / 127.5 - 1)
    assert (x.min(), x.max()) == (-1, 1)


def test_too_many_samples_are_refused() -> None:
    check_size("toy", 1 << 20, (32, 64))
    with pytest.raises(DataError, match=r"^toy: 1,048,577 samples of 32 x 64 take 8\.6 GB"):
        check_size("toy", (1 << 20) + 1, (32, 64))


def test_parts_that_do_not_fit_are_refused() -> None:
    train = make_samples([0, 1])
    with pytest.raises(DataError, match="differ in shape"):
        Dataset("toy", train, make_samples([0], vectors=3), ("a", "b"), "image")
    with pytest.raises(DataError, match=r"labels must be 0 \.\. 0"):
        Dataset("toy", train, make_samples([0]), ("a",), "image")
    with pytest.raises(DataError, match="no samples"):
        Dataset("toy", train, train.take([]), ("a", "b"), "image")


def written_samples(num_writers: int) -> Samples:
    writer_N = np.repeat(np.arange(num_writers), 3)
    x_NTC = np.zeros((len(writer_N), 1, 1), dtype=np.float32)
    return Samples(x_NTC, np.zeros(len(writer_N), dtype=np.int64), writer_N)


@pytest.mark.parametrize(("fraction", "expected"), [(0.25, 3), (0.001, 1), (0.999, 10)])
def test_parts_share_no_writer(fraction: float, expected: int) -> None:
    train, test = split_by_writer(written_samples(11), test_fraction=fraction, split_seed=0)
    assert train.writer_N is not None
    assert test.writer_N is not None
    train_writers, test_writers = set(train.writer_N.tolist()), set(test.writer_N.tolist())
    assert len(test_writers) == expected
    assert not train_writers & test_writers
    assert train_writers | test_writers == set(range(11))
    assert len(train) + len(test) == 33


def test_the_seed_decides() -> None:
    samples = written_samples(40)
    parts = [split_by_writer(samples, test_fraction=0.5, split_seed=seed)[1] for seed in (1, 1, 2)]
    np.testing.assert_array_equal(parts[0].writer_N, parts[1].writer_N)
    assert set(parts[0].writer_N) != set(parts[2].writer_N)


def test_a_fraction_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match="above 0 and below 1"):
        split_by_writer(written_samples(3), test_fraction=1.0, split_seed=0)
