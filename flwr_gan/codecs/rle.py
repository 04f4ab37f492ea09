"""Run lengths of zeros, plain: for comparison with what is published, without entropy coding."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array, ArraySpec
from flwr_gan.codecs.base import BaseUse, Body, Codec, prepared, refuse_base
from flwr_gan.codecs.elements import BLOCK, Positions, element_bytes, scattered, taken_positions
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import PayloadError

_LONGEST = 255


class RleCodec(Codec):
    """Of each array the zeros before each element that is not zero, and these elements. Lossless.

    A run of zeros takes a byte: 0 to 254 and an element follows, or 255 zeros and none follows.
    Zeros at the end of an array are not written.
    """

    name: ClassVar[str] = "rle"
    wire_id: ClassVar[int] = 9
    spec = "rle"

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code array after array; the base is of no use here."""
        refuse_base(base_use, self.spec)
        return Body(b"", b"".join(map(_written, prepared(arrays, strict=strict))))

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode block by block into zeroed arrays."""
        if body.mask:
            raise PayloadError("rle payload has a mask, which rle never writes")
        reader = ByteReader(body.values, what="rle payload")
        arrays = [_read(reader, spec) for spec in specs]
        reader.finish()
        return arrays


def _written(array: Array) -> bytes:
    positions = taken_positions(array)
    gaps = np.diff(positions, prepend=-1) - 1
    full, rest = np.divmod(gaps, _LONGEST)
    runs = np.full(int(full.sum()) + len(gaps), _LONGEST, np.uint8)
    runs[np.cumsum(full + 1) - 1] = rest
    elements = element_bytes(array)[positions].tobytes()
    return write_varint(array.size) + write_varint(len(runs)) + runs.tobytes() + elements


def _read(reader: ByteReader, spec: ArraySpec) -> Array:
    if reader.varint(limit=1 << 32) != spec.size:
        raise PayloadError(f"rle payload has no array of {spec.shape} where one should be")
    runs = np.frombuffer(reader.take(reader.varint(limit=spec.size)), np.uint8)
    if len(runs) and runs[-1] == _LONGEST:
        raise PayloadError("rle payload has a run without an element at the end of an array")
    return scattered(spec, _positions(runs, spec.size), reader.take, "rle")


def _positions(runs: Array, size: int) -> Iterator[Positions]:
    before = 0
    for start in range(0, len(runs), BLOCK):
        block = runs[start : start + BLOCK]
        ends = before + np.cumsum(np.minimum(block.astype(np.int64) + 1, _LONGEST))
        before = int(ends[-1])
        if before > size:
            raise PayloadError("rle payload has runs behind the end of an array")
        # A run of 254 and its element take as many places as a run of 255 without one.
        yield ends[block < _LONGEST] - 1


def from_spec(arguments: tuple[str, ...]) -> RleCodec:
    """Build the codec ``rle``, which takes no settings."""
    from flwr_gan.codecs.registry import no_arguments

    no_arguments("rle", arguments)
    return RleCodec()
