"""State as a tree: what goes in comes out, through arrays and through a file."""

import numpy as np
import pytest
import torch

from flwr_gan.core.tree import OUTLINE, flatten, leaves, read_tree, unflatten, write_tree
from flwr_gan.errors import OutputError

TREE = {
    "level": 3,
    "seconds": 0.1 + 0.2,
    "name": "ü/~1",
    "none": None,
    "done": True,
    "empty": {},
    "payloads": [b"\x00\xff", b""],
    "rows": [{"round": 1, "up": 2.5}, []],
    "mask": {"fc.weight": np.array([[True, False]]), "a/b": np.zeros((0, 3), np.float16)},
    "scalar": np.array(7, np.int64),
}


def same(found, wanted):
    assert type(found) is type(wanted)
    if isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key, value in wanted.items():
            same(found[key], value)
    elif isinstance(wanted, list):
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        assert found.tobytes() == wanted.tobytes()
    else:
        assert found == wanted


def test_what_goes_in_comes_out(tmp_path):
    same(unflatten(flatten(TREE)), TREE)
    write_tree(tmp_path / "state.npz", TREE)
    same(read_tree(tmp_path / "state.npz"), TREE)


def test_arrays_are_copies_under_the_names_of_their_paths():
    array, tensor = np.ones(2), torch.ones(2, requires_grad=True)
    flat = flatten({"a": {"b": array}, "c": [tensor], "a/b": array, OUTLINE: array})
    assert [name for name in flat if name != OUTLINE][:2] == ["a/b", "c/0"]
    array[:] = 5
    tensor.data[:] = 5
    tree = unflatten(flat)
    for found in (tree["a"]["b"], tree["a/b"], tree["c"][0], tree[OUTLINE]):
        assert found.tolist() == [1, 1]


def test_leaves_have_the_names_of_their_paths():
    assert dict(leaves({"a": {"b": 1, "c": {}}, "d": [2]})) == {"a/b": 1, "d": [2]}


def test_a_damaged_file_is_one_clear_line(tmp_path):
    path = tmp_path / "state.npz"
    np.savez(path, x=np.zeros(1))
    with pytest.raises(OutputError, match="is damaged: 'outline'; start a new run"):
        read_tree(path)
    path.unlink()
    with pytest.raises(OutputError, match=r"cannot read .* start a new run"):
        read_tree(path)
