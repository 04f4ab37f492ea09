"""The idx format of MNIST: big-endian uint32 magic, one uint32 an axis, then the bytes."""

import math
import struct

import numpy as np
import numpy.typing as npt

from flwr_gan.errors import DataError

# Third byte 0x08: unsigned bytes; fourth: the number of axes.
_MAGIC_UNSIGNED_BYTES = 0x0800
_MAX_AXES = 3


def parse_idx(content: bytes, *, name: str) -> npt.NDArray[np.uint8]:
    """Return the array of an idx file of unsigned bytes, 1 to 3 axes, without copying it.

    A DataError names the file where the header is none, or states another length than it has.
    """
    if len(content) < 4:
        raise DataError(f"{name} is truncated: {len(content)} bytes are no idx file")
    (magic,) = struct.unpack_from(">I", content)
    num_axes = magic - _MAGIC_UNSIGNED_BYTES
    if not 1 <= num_axes <= _MAX_AXES:
        raise DataError(f"{name} is no idx file of unsigned bytes: its magic number is {magic}")
    header_bytes = 4 * (1 + num_axes)
    if len(content) < header_bytes:
        raise DataError(f"{name} is truncated within its header")
    shape = struct.unpack_from(f">{num_axes}I", content, 4)
    # Python integers: no overflow, whatever the header says.
    expected_bytes = header_bytes + math.prod(shape)
    if len(content) != expected_bytes:
        raise DataError(f"{name} has {len(content)} bytes; its header says {expected_bytes}")
    return np.frombuffer(content, dtype=np.uint8, offset=header_bytes).reshape(shape)
