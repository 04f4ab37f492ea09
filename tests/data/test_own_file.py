"""Samples of one's own, and a data set whose samples lie on the nodes."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from flwr_gan.data.digits import load_digits
from flwr_gan.data.file import load_file
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
    found = load_file(path=write(x=x, y=y), test_fraction=0.2)
    assert (found.name, found.class_names, found.num_vectors) == ("own", tuple("0123"), 4)
    assert np.bincount(found.train.y_N).tolist() == [8] * 4
    assert np.bincount(found.test.y_N).tolist() == [2] * 4
    both = np.concatenate([found.train.x_NTC, found.test.x_NTC])
    assert sorted(both.ravel()) == sorted(x.ravel())


def test_bytes_become_values_from_minus_one_to_one(write):
    x = np.array([0, 51, 255] * 12, np.uint8).reshape(3, 4, 3)
    found = load_file(path=write(x=x, y=np.array([0, 0, 0])), class_names=["a", "b"])
    assert found.num_classes == 2
    values = np.unique(np.concatenate([found.train.x_NTC, found.test.x_NTC]))
    np.testing.assert_allclose(values, [-1, -0.6, 1], atol=1e-6)


def test_without_a_file_there_is_the_form_alone():
    found = load_file(num_vectors=8, num_components=5, class_names=["x", "y"], kind="image")
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
        ({"path": "/nowhere.npz"}, r"cannot read /nowhere\.npz: No such file"),
        ({"path": "a", "test_fraction": 2}, r"data\.test_fraction=2"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises((ConfigError, DataError), match=message):
        load_file(**settings)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3, 4), np.float32)}, "expected"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(2, int)}, r"x is float64 \(2, 3\)"),
        ({"x": np.zeros((2, 3, 4)), "y": np.zeros(3, int)}, r"y is int64 \(3,\)"),
        ({"x": np.zeros((2, 3, 4)), "y": np.zeros(2)}, "whole numbers"),
        ({"x": np.full((2, 3, 4), 7.0), "y": np.zeros(2, int)}, r"\[-1, 1\]"),
        ({"x": np.zeros((0, 3, 4)), "y": np.zeros(0, int)}, r"x is float64 \(0, 3, 4\)"),
        ({"x": np.array([None]), "y": np.zeros(1, int)}, "cannot read"),
    ],
)
def test_a_file_of_another_form_is_refused(write, arrays, message):
    with pytest.raises(DataError, match=message):
        load_file(path=write(**arrays))


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    path = tmp_path / "own.npz"
    path.write_bytes(b"no arrays")
    with pytest.raises(DataError, match=r"cannot read .*own\.npz"):
        load_file(path=path)


def test_samples_of_another_size_than_the_runs_are_refused(write):
    x, y = digits()
    with pytest.raises(DataError, match=r"\(4, 3\), and the run's are \(8, 3\)"):
        load_file(path=write(x=x, y=y), num_vectors=8)
