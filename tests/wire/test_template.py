"""Templates: the same arrays, the same hash; and no trust in their bytes."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import Template
from flwr_gan.wire.codecs.varint import write_varint

ARRAYS = {
    "a": np.zeros((2, 3), np.float32),
    "größe": np.zeros((), ">i8"),
    "": np.zeros((0, 5), bool),
    "short": np.zeros(3, "V2"),
}


def test_bytes_and_back():
    template = Template.of(ARRAYS)
    again = Template.from_bytes(template.to_bytes())
    assert again == template
    assert again.hash == template.hash
    assert len(template.hash) == 8
    assert template.parameters == 10
    assert template.nbytes == 38


@pytest.mark.parametrize(
    "other",
    [
        {"b": ARRAYS["a"]},
        {"a": ARRAYS["a"].T},
        {"a": ARRAYS["a"].astype(">f4")},
        {"a": ARRAYS["a"].reshape(6)},
        {"a": ARRAYS["a"], "b": ARRAYS["a"]},
        {},
    ],
)
def test_whatever_differs_changes_the_hash(other):
    assert Template.of(other).hash != Template.of({"a": ARRAYS["a"]}).hash


def entry(name=b"a", dtype=10, shape=(2, 3)):
    dims = bytes([len(shape)]) + b"".join(map(write_varint, shape))
    return write_varint(len(name)) + name + bytes([dtype]) + dims


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "truncated"),
        (b"\x01", "truncated"),
        (b"\x05" + entry(), "truncated"),
        (b"\xff\xff\xff\xff\x0f" + entry(), "at most"),
        (b"\x81\x00" + entry(), "superfluous"),
        (b"\xff" * 12, "more than 64 bits"),
        (b"\x01" + entry() + b"x", "too many"),
        (b"\x02" + entry() + entry(), "same name"),
        (b"\x01" + entry(name=b"\xff"), "not UTF-8"),
        (b"\x01" + entry(dtype=15), "dtype number 15"),
        (b"\x01" + entry(dtype=0x80), "byte order"),
        (b"\x01" + entry(dtype=0x8E), "byte order"),
        (b"\x01" + entry(shape=(1,) * 33), "33 axes"),
        (b"\x01" + entry(shape=(1 << 20, 1 << 20)), "too large"),
        (b"\x01" + entry(shape=(0, 1 << 20, 1 << 20)), "too large"),
    ],
)
def test_bad_bytes_are_named(data, said):
    with pytest.raises(PayloadError, match=said):
        Template.from_bytes(data)


def test_bad_names_are_refused():
    with pytest.raises(CodecError, match="at most 4096"):
        Template.of({"x" * 5000: ARRAYS["a"]})
    with pytest.raises(CodecError, match="Unicode"):
        Template.of({"\ud800": ARRAYS["a"]})
    with pytest.raises(CodecError, match="w: dtype object cannot be coded"):
        Template.of({"w": np.array([None])})
