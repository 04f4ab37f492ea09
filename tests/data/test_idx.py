"""The idx format of MNIST."""

import struct

import numpy as np
import pytest

from flwr_gan.data.idx import parse_idx
from flwr_gan.errors import DataError


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 2, 3), (0, 28, 28)])
def test_arrays_are_read_as_written(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(parse_idx(idx(array), name="x"), array)


def test_every_truncation_is_noticed() -> None:
    whole = idx(np.zeros((2, 3, 4)))
    for length in range(len(whole)):
        with pytest.raises(DataError, match="toy"):
            parse_idx(whole[:length], name="toy")


@pytest.mark.parametrize(
    "content",
    [
        b"\0\0\x08\x04" + bytes(16),
        b"\0\0\x0d\x03" + bytes(12),
        struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(100),
        idx(np.zeros(3)) + b"x",
    ],
    ids=["axes", "floats", "huge", "longer"],
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="toy"):
        parse_idx(content, name="toy")
