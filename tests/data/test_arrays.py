"""Samples of one's own, and a data set whose samples lie on the nodes."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from flwr_gan.data.arrays import load_arrays
from flwr_gan.data.digits import load_digits
from flwr_gan.data.partition import WriterSplit
from flwr_gan.errors import ConfigError, DataError


@pytest.fixture
def write(tmp_path):
    def save(**arrays):
        path = tmp_path / "own.npz"
        np.savez(path, **arrays)
        return path

    return save


def digits(count=40, dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (count, 4, 3)).astype(dtype), np.arange(count) % 4


def test_each_class_is_split_alike_and_no_sample_is_in_both_parts(write):
    x, y = digits()
    found = load_arrays(path=write(x=x, y=y), test_fraction=0.2)
    assert (found.name, found.class_names, found.num_vectors) == ("own", tuple("0123"), 4)
    assert np.bincount(found.train.y_N).tolist() == [8] * 4
    assert np.bincount(found.test.y_N).tolist() == [2] * 4
    both = np.concatenate([found.train.x_NTC, found.test.x_NTC])
    assert sorted(both.ravel()) == sorted(x.ravel())


def test_bytes_become_values_from_minus_one_to_one(write):
    x = np.array([0, 51, 255] * 12, np.uint8).reshape(3, 4, 3)
    found = load_arrays(path=write(x=x, y=np.array([0, 0, 0])), class_names=["a", "b"])
    assert found.num_classes == 2
    values = np.unique(np.concatenate([found.train.x_NTC, found.test.x_NTC]))
    np.testing.assert_allclose(values, [-1, -0.6, 1], atol=1e-6)


def test_without_a_file_there_is_the_form_alone():
    found = load_arrays(num_vectors=8, num_components=5, class_names=["x", "y"], kind="image")
    assert (found.num_vectors, found.num_components, found.num_classes) == (8, 5, 2)
    assert len(found.train) == len(found.test) == 0


def test_the_option_remote_has_the_form_of_the_digits():
    config = OmegaConf.load(Path(__file__).parents[2] / "conf/data/remote.yaml")
    found, digits = instantiate(config), load_digits()
    assert (found.num_vectors, found.num_components, found.class_names, found.kind) == (
        digits.num_vectors, digits.num_components, digits.class_names, digits.kind,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"data\.path=null: give the file, or data=remote"),
        ({"kind": "film"}, r"data\.kind='film'"),
        ({"num_vectors": 0}, r"data\.num_vectors=0"),
        ({"num_channels": "three"}, r"data\.num_channels='three'"),
        ({"num_vectors": 8, "num_components": 8, "class_names": "ab"}, r"data\.class_names='ab'"),
        ({"num_vectors": 8, "num_components": 8, "class_names": ["a", "a"]}, "each once"),
        ({"path": "/nowhere.npz"}, r"cannot read /nowhere\.npz: No such file"),
        ({"path": "a", "test_fraction": 2}, r"data\.test_fraction=2"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises((ConfigError, DataError), match=message):
        load_arrays(**settings)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3, 4), np.float32)}, "expected"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(2, int)}, r"x is float64 \(2, 3\)"),
        ({"x": np.zeros((2, 3, 4)), "y": np.zeros(3, int)}, r"y is int64 \(3,\)"),
        ({"x": np.zeros((2, 3, 4)), "y": np.zeros(2)}, "whole numbers"),
        ({"x": np.full((2, 3, 4), 7.0), "y": np.zeros(2, int)}, r"from 7 to 7: give .*\[-1, 1\]"),
        ({"x": np.full((2, 3, 4), np.nan), "y": np.zeros(2, int)}, "from nan to nan"),
        ({"x": np.zeros((2, 3, 4), int), "y": np.zeros(2, int)}, "x is int64: give floats"),
        ({"x": np.zeros((2, 3, 32, 32)), "y": np.zeros(2, int)}, r"last: save x\.transpose"),
        ({"x": np.zeros((2, 3, 4, 3, 1)), "y": np.zeros(2, int)}, "expected"),
        ({"x": np.zeros((2, 3, 4)), "y": np.array([0, -1])}, "y goes from -1 to 0"),
        ({"x": np.zeros((2, 3, 4)), "y": np.array([0, 10**9])}, "y goes from 0 to 1000000000"),
        (
            {"x": np.zeros((2, 3, 4)), "y": np.zeros(2, int), "writer": np.zeros(3, int)},
            r"writer is int64 \(3,\)",
        ),
        (
            {"x": np.zeros((2, 3, 4)), "y": np.zeros(2, int), "writer": np.ones(2, int)},
            "all samples have writer 1",
        ),
        ({"x": np.zeros((0, 3, 4)), "y": np.zeros(0, int)}, r"x is float64 \(0, 3, 4\)"),
        ({"x": np.array([None]), "y": np.zeros(1, int)}, "cannot read .*allow_pickle=False"),
    ],
)
def test_a_file_of_another_form_is_refused(write, arrays, message):
    with pytest.raises(DataError, match=message):
        load_arrays(path=write(**arrays))


def test_a_file_that_is_no_npz_is_refused(tmp_path, write):
    path = tmp_path / "own.npz"
    path.write_bytes(b"no arrays")
    with pytest.raises(DataError, match=r"cannot read .*own\.npz"):
        load_arrays(path=path)
    np.save(tmp_path / "own.npy", np.zeros((2, 3, 4)))
    with pytest.raises(DataError, match=r"own\.npy: it is no \.npz file"):
        load_arrays(path=tmp_path / "own.npy")
    whole = write(x=np.zeros((2, 3, 4)), y=np.zeros(2, int)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"^cannot read .*own\.npz: .*expected$"):
        load_arrays(path=path)


def test_what_is_too_large_is_refused_before_it_is_read(write, monkeypatch):
    x, y = digits()
    path = write(x=x.astype(np.float16), y=y)  # 960 bytes, and 1,920 as float32
    monkeypatch.setattr("flwr_gan.data.dataset.MOST_BYTES", 1500)
    with pytest.raises(DataError, match=r"40 samples of 4 x 3 take .* give fewer or smaller"):
        load_arrays(path=path)
    monkeypatch.setattr("flwr_gan.data.arrays.MOST_BYTES", 900)
    with pytest.raises(DataError, match=r"x\.npy takes 1,088 bytes: at most 900"):
        load_arrays(path=path)


def test_images_in_colour_have_their_channels_last(write):
    x = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3), dtype=np.uint8)
    found = load_arrays(path=write(x=np.asfortranarray(x), y=np.arange(20) % 2), num_channels=3)
    assert (found.num_vectors, found.num_components, found.num_channels) == (5, 4, 3)
    both = np.concatenate([found.train.x_NTC, found.test.x_NTC])
    assert sorted(both.ravel()) == sorted((x.astype(np.float32) / 127.5 - 1).ravel())
    with pytest.raises(DataError, match=r"are 5 x 4 x 3, and the run's are 5 x 4: give"):
        load_arrays(path=write(x=x, y=np.arange(20) % 2), num_channels=1)


def test_one_channel_is_no_axis(write):
    x, y = digits()
    path = write(x=x[..., None], y=y)
    assert load_arrays(path=path, num_channels=1).train.x_NTC.shape[1:] == (4, 3)
    assert load_arrays(num_vectors=4, num_components=3, num_channels=1, class_names=["a"]).form == (
        "4 x 3"
    )


def test_writers_are_held_out_and_dealt_to_clients(write):
    x, y = digits()
    writer = np.arange(40) // 4 + 7
    found = load_arrays(path=write(x=x, y=y, writer=writer), test_fraction=0.3)
    assert len(np.unique(found.test.writer_N)) == 3
    assert not np.intersect1d(found.train.writer_N, found.test.writer_N).size
    for part in (found.train, found.test):
        for sample, who in zip(part.x_NTC, part.writer_N, strict=True):
            assert writer[np.flatnonzero((x == sample).all(axis=(1, 2)))[0]] == who
    parts = WriterSplit()(found.train, num_clients=7, seed=0)
    assert [len(part) for part in parts] == [4] * 7


def test_a_class_keeps_a_sample_to_train_with(write):
    x, _ = digits(5)
    found = load_arrays(path=write(x=x, y=np.array([0, 1, 1, 2, 2])), test_fraction=0.9)
    assert np.bincount(found.train.y_N).tolist() == [1, 1, 1]
    assert np.bincount(found.test.y_N).tolist() == [0, 1, 1]


def test_samples_of_another_size_than_the_runs_are_refused(write):
    x, y = digits()
    with pytest.raises(DataError, match=r"are 4 x 3, and the run's are 8 x 3: give"):
        load_arrays(path=write(x=x, y=y), num_vectors=8)
