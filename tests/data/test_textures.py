"""Patches of two photographs: where they come from, and that no pixel is in both parts."""

import numpy as np
import pytest

from flwr_gan.data import textures
from flwr_gan.data.textures import load_textures
from flwr_gan.errors import ConfigError


def test_each_photograph_is_a_class():
    found = load_textures(patches=8)
    assert (found.form, found.class_names) == ("32 x 32 x 3", ("china", "flower"))
    assert np.bincount(found.train.y_N).tolist() == [8, 8]
    assert np.bincount(found.test.y_N).tolist() == [2, 2]
    assert load_textures(patches=4, channels=1, size=28).form == "28 x 28"


def test_the_seed_decides():
    one, same, other = (load_textures(patches=4, seed=seed).train.x_NTC for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_no_pixel_is_in_both_parts(monkeypatch):
    import sklearn.datasets

    # Each pixel says which column it is of: none of two parts have one in common.
    column = np.broadcast_to(np.arange(640), (427, 640))
    ramp = np.stack([column // 256, column % 256, column * 0], axis=-1).astype(np.uint8)
    monkeypatch.setattr(sklearn.datasets, "load_sample_image", lambda name: ramp)
    found = load_textures(patches=200, size=textures.CUT)
    columns = []
    for part in (found.train, found.test):
        bytes_N = np.rint((part.x_NTC + 1) * 127.5).astype(int)
        columns.append(np.unique(bytes_N[..., 0] * 256 + bytes_N[..., 1]))
    assert not np.intersect1d(*columns).size
    assert [len(part) >= most - 2 for part, most in zip(columns, (480, 160), strict=True)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 65}, r"data\.size=65 .* from 4 to 64"),
        ({"channels": 2}, r"data\.channels=2"),
        ({"patches": 0}, r"data\.patches=0"),
        ({"patches": 10**9}, r"data\.patches=1000000000"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        load_textures(**settings)
