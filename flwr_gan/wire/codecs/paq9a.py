"""paq9a: context mixing, byte-compatible with archives of the program of that name (2007).

Slow and strong; for comparison with published results. Needs numba (extra ``paq9a``).
"""

from typing import Any

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.library import Library, WholeStream
from flwr_gan.wire.codecs.paq9a_states import next_state_table
from flwr_gan.wire.codecs.varint import ByteReader

MAGIC = b"pQ9\x01"
_MAX_NAME_BYTES = 1023
_MODEL_FLOOR = 64 << 20
"""Memory that a decoder's model may take, however small the data."""


def compress(data: bytes, level: int = 1, *, name: bytes = b"w") -> bytes:
    """Return a paq9a archive with one file, whose name has no zero bytes.

    The model takes about ``0.75 * 2**(22 + level)`` bytes of memory, for levels 1 to 9. Raises
    ``CodecError`` if numba is missing, or the level or the name is out of range.
    """
    if not 1 <= level <= 9:
        raise CodecError(f"paq9a level {level} is out of range; allowed: 1 to 9")
    if not 1 <= len(name) <= _MAX_NAME_BYTES or b"\0" in name:
        raise CodecError(f"paq9a name must have 1 to {_MAX_NAME_BYTES} bytes, none of them zero")
    model = _model()
    state = model.new_state(level, next_state_table())
    source = np.frombuffer(data, np.uint8)
    buffer = np.zeros(model.BLOCK_BUFFER, np.uint8)
    archive = bytearray(MAGIC + str(level).encode() + name)
    at, full = 0, True
    # A block that the last byte filled is followed by an empty one.
    while full:
        end, written = model.encode_block(state, source, at, buffer)
        archive += b"\0c" + (end - at).to_bytes(4, "big") + written.to_bytes(4, "big")
        archive += buffer[:written].tobytes()
        full = written - 4 > model.BLOCK_LIMIT
        at = end
    return bytes(archive)


def decompress(archive: bytes | memoryview, *, max_bytes: int) -> bytes:
    """Return the content of a paq9a archive with one file; its name is ignored.

    The model's memory is at most ``max_bytes`` or 64 MiB. Raises ``PayloadError`` if the archive is
    damaged, holds several files, or needs more memory, ``CodecError`` if numba is missing.
    """
    reader = ByteReader(archive, what="paq9a archive")
    if bytes(reader.take(len(MAGIC))) != MAGIC:
        raise PayloadError("these bytes are no paq9a archive")
    level = reader.byte() - ord("0")
    if not 1 <= level <= 9:
        raise PayloadError("paq9a archive names a level that does not exist")
    if (3 << (20 + level)) + (12 << 20) > max(max_bytes, _MODEL_FLOOR):
        raise PayloadError(f"paq9a archive of level {level} needs more memory than is allowed")
    blocks = _blocks(reader, max_bytes)
    total = sum(size for _, size, _ in blocks)
    content = np.zeros(total, np.uint8)
    model = _model()
    state = model.new_state(level, next_state_table())
    at = 0
    for mode, size, payload in blocks:
        source = np.frombuffer(payload, np.uint8)
        if mode == ord("s"):
            content[at : at + size] = source
        elif model.decode_block(state, source, content[at : at + size]) != len(source):
            raise PayloadError("paq9a archive is damaged")
        at += size
    return content.tobytes()


def _blocks(reader: ByteReader, max_bytes: int) -> list[tuple[int, int, bytes]]:
    """Check the block sizes; return mode, decoded size and payload of each block."""
    length = 0
    while reader.byte():
        length += 1
        if length > _MAX_NAME_BYTES:
            raise PayloadError(f"paq9a archive has a name of over {_MAX_NAME_BYTES} bytes")
    blocks = []
    left = max_bytes
    while True:
        mode = reader.byte()
        size = int.from_bytes(reader.take(4), "big")
        payload = bytes(reader.take(int.from_bytes(reader.take(4), "big")))
        if mode not in b"cs" or (mode == ord("s") and size != len(payload)):
            raise PayloadError("paq9a archive has a block that cannot be read")
        if size > left:
            raise PayloadError(f"paq9a archive holds more than max_bytes={max_bytes}")
        left -= size
        blocks.append((mode, size, payload))
        if not reader.left:
            return blocks
        if reader.byte():
            raise PayloadError("paq9a archive holds several files; one is allowed")


def _model() -> Any:
    try:
        from flwr_gan.wire.codecs import paq9a_model
    except ImportError as error:
        raise CodecError(
            "paq9a needs numba, which is not installed; install it with: "
            "pip install 'flwr-gan[paq9a]'"
        ) from error
    return paq9a_model


def _open(data: bytes | memoryview, size: int) -> WholeStream:
    return WholeStream(decompress(data, max_bytes=size), name="paq9a")


PAQ9A = Library("paq9a", 6, (1, 4, 1), compress, _open, check=_model)
"""One archive with a single file; some receivers refuse the memory of levels above 4."""
