"""The codec ``sparse``: a mask, and the values of what survives it.

float32 arrays are taken apart into mask and values; arrays of other types travel byte plane by
byte plane. A value is coded as it is, as its difference to a base that the receiver holds, or as
the code that a stage (``flwr_gan.compress``) turned it into.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array, ArraySpec, check_encodable
from flwr_gan.codecs.base import BaseUse, Body, Codec, prepared
from flwr_gan.codecs.sparse.bands import Bands, read_bands, write_bands
from flwr_gan.codecs.sparse.floats import (
    add_differences,
    float_keys,
    float_values,
    ordered_differences,
    unzigzag,
    zigzag,
)
from flwr_gan.codecs.sparse.masks import (
    LAYERED,
    SAME,
    CodedMask,
    MaskSource,
    derived_mask,
    open_mask,
    write_mask,
)
from flwr_gan.codecs.sparse.parts import (
    FLOAT32,
    KnownBase,
    Layout,
    Parts,
    base_layers,
    is_weight,
)
from flwr_gan.codecs.sparse.planes import read_planes, write_planes
from flwr_gan.codecs.sparse.positions import Positions
from flwr_gan.codecs.sparse.values import (
    BINS,
    MAGNITUDE_BINS,
    PCODEC,
    RADIX,
    ValueReader,
    write_values,
)
from flwr_gan.codecs.stage import (
    ElementStage,
    Places,
    measure_all,
    side_of_each,
    side_shapes,
)
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import CodecError, PayloadError

RELATIVE = 0x80
"""Bit of the value coding that says that values are differences to the base."""

BANDED = 0x40
"""Bit of the value coding that says that layers are divided into bands."""

_NUMBER = 0x3F
_NO_BANDS = "payload has bands beside a base, which do not go together"


class SparseCodec(Codec):
    """Sparse-aware coding of float32 weights. Lossless without a stage.

    Parameters
    ----------
    numbers : {"bins", "pcodec"}, default="bins"
        How lossless values are coded: by numpy and the standard library, the same bytes on every
        machine, or by the library pcodec, about 3 % shorter.
    """

    name: ClassVar[str] = "sparse"
    wire_id: ClassVar[int] = 7

    def __init__(self, *, numbers: str = "bins", stage: ElementStage | None = None) -> None:
        self.numbers = numbers
        self.stage = stage
        self.spec = "sparse" if numbers == "bins" else f"sparse:{numbers}"
        if stage is not None:
            self.spec = f"{stage.spec}+{self.spec}"
        self.lossless = stage is None

    @property
    def general(self) -> bool:
        """False: this codec knows weights from their mask."""
        return False

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code the arrays; of the base, use what ``base_use`` allows and what saves bytes."""
        if base_use != "auto" and base is None:
            raise CodecError(f"base_use={base_use!r} needs a base")
        checked = [check_encodable(array) for array in arrays]
        weights = [array for array in checked if is_weight(array.dtype)]
        others = [array for array in checked if not is_weight(array.dtype)]
        parts = Parts(weights, strict=strict and self.lossless)
        held = None if base is None else base_layers(base)
        tail = write_planes(prepared(others, strict=strict))
        return min(self._candidates(parts, held, base_use, tail), key=_cost)

    def _candidates(
        self, parts: Parts, held: list[Array] | None, base_use: BaseUse, tail: bytes
    ) -> Iterator[Body]:
        """Yield every coding that is allowed; of equals the first is taken."""
        supports = parts.supports
        whole = b""
        if base_use != "values":
            alone = self._numbers(parts, None)
            whole = b"" if held is None else _values(*alone) + tail
        if held is None or base_use == "auto":
            bits = 26.0 if self.stage is None else 8.0 * np.dtype(self.stage.code_dtype).itemsize
            layout = parts.layout(bits_each=bits, values_gain=alone[0] != PCODEC)
            mask = write_mask(layout.supports, base=None)
            divided = layout.divided or not whole
            yield _body(mask, _values(*alone, layout=layout) + tail if divided else whole)
        if held is None:
            return
        mask = write_mask(supports, base=held, derive=base_use == "derive")
        if base_use == "auto" and mask.mode != SAME:
            mask = derived_mask(supports, held) or mask
        if base_use != "values":
            yield _body(mask, whole)
        if base_use == "mask":
            return
        try:
            changes = self._numbers(parts, parts.at_survivors(held))
        except CodecError:
            if base_use == "values":
                raise
            return
        yield _body(mask, _values(*changes, relative=True) + tail, relative=True)

    def _numbers(self, parts: Parts, bases: list[Array] | None) -> tuple[int, bytes, list[Array]]:
        """Return the value coding, the stage's numbers, and what the coding is given."""
        if self.stage is not None:
            return _code_coding(self.stage), *self._staged(self.stage, parts, bases)
        if bases is None:
            if self.numbers == "pcodec":
                return PCODEC, b"", parts.values
            return BINS, b"", [float_keys(values) for values in parts.values]
        pairs = zip(parts.values, bases, strict=True)
        differences = [ordered_differences(values, near) for values, near in pairs]
        if self.numbers == "pcodec":
            return PCODEC, b"", [unzigzag(part).view(np.int32) for part in differences]
        return MAGNITUDE_BINS, b"", differences

    def _staged(
        self, stage: ElementStage, parts: Parts, bases: list[Array] | None
    ) -> tuple[bytes, list[Array]]:
        nears: Sequence[Array | None] = bases or [None] * len(parts.shapes)
        triples = zip(parts.supports, parts.shapes, nears, strict=True)
        places = [Places(support.positions, shape, near) for support, shape, near in triples]
        written = measure_all(stage, parts.values, places)
        sides = side_of_each(stage, written, len(places))
        coded = zip(parts.values, places, sides, strict=True)
        codes = [stage.to_codes(*layer) for layer in coded]
        side = b"".join(part.astype(stage.side_dtype).tobytes() for part in written)
        return side, codes

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode block by block into zeroed arrays."""
        weights = [spec for spec in specs if is_weight(spec.dtype)]
        reader = ByteReader(body.values, what="values")
        flats = [np.zeros(spec.size, FLOAT32) for spec in weights]
        for layer, positions, values in self._survivors(body, reader, weights, base):
            flats[layer][positions] = values
            del positions, values  # before the next block is decoded
        others = read_planes(reader, [spec for spec in specs if not is_weight(spec.dtype)])
        reader.finish()
        weight = map(_shaped, flats, weights)
        other = iter(others)
        return [next(weight if is_weight(spec.dtype) else other) for spec in specs]

    def decode_survivors(self, body: Body, specs: Sequence[ArraySpec], *, base: KnownBase) -> Array:
        """Return the float32 values of the survivors alone, in row-major order, array after array.

        To be called where ``survivors_are_all`` is true: the positions are the base's, so that
        nothing but the values is to be read, and those without a stage all at once.
        """
        reader = ByteReader(body.values, what="values")
        total = reader.varint(limit=len(base.survivors))
        tag = reader.byte()
        number, relative = tag & _NUMBER, bool(tag & RELATIVE)
        if tag & BANDED:
            raise PayloadError(_NO_BANDS)
        dtype = self._value_dtype(number, relative)
        sides = self._read_sides(reader, [spec.shape for spec in specs])
        source = ValueReader(reader, coding=number, dtype=dtype, total=total)
        codes = source.read(len(base.survivors))
        source.finish()
        reader.finish()
        near = base.survivors if relative else None
        if self.stage is None:
            return _plain_weights(codes, number, near)
        of_each = [side for side in sides if side is not None]
        return self.stage.from_joined_codes(codes, base.places, of_each, near)

    @staticmethod
    def survivors_are_all(body: Body, specs: Sequence[ArraySpec]) -> bool:
        """Return True if the mask is the base's and all arrays are float32."""
        return body.mask == bytes([SAME]) and all(is_weight(spec.dtype) for spec in specs)

    def _survivors(
        self,
        body: Body,
        reader: ByteReader,
        weights: Sequence[ArraySpec],
        base: Sequence[Array] | None,
    ) -> Iterator[tuple[int, Positions, Array]]:
        """Yield layer, positions and values of block after block."""
        held = None if base is None else base_layers(base)
        lengths = [spec.size for spec in weights]
        total = reader.varint(limit=sum(lengths))
        tag = reader.byte()
        number, relative = tag & _NUMBER, bool(tag & RELATIVE)
        if relative and held is None:
            raise PayloadError("unknown_base: the values are differences to a base not given")
        dtype = self._value_dtype(number, relative)
        bands: list[Bands | None] = [None] * len(weights)
        if tag & BANDED:
            if relative or body.mask[:1] != bytes([LAYERED]):
                raise PayloadError(_NO_BANDS)
            bands = read_bands(reader, [spec.shape for spec in weights])
            lengths = [
                length
                for whole, divided in zip(lengths, bands, strict=True)
                for length in (divided.lengths if divided else [whole])
            ]
        side = self._read_sides(reader, [spec.shape for spec in weights])
        values = ValueReader(reader, coding=number, dtype=dtype, total=total)
        mask = open_mask(body.mask, lengths, held)
        unit = 0
        for layer, spec in enumerate(weights):
            for positions in _blocks(mask, unit, bands[layer]):
                codes = values.read(len(positions))
                near = held[layer][positions] if relative and held is not None else None
                places = Places(positions, spec.shape, near)
                yield layer, positions, self._weights(codes, number, places, side[layer])
            divided = bands[layer]
            unit += 1 if divided is None else divided.count
        mask.finish()
        values.finish()

    def _value_dtype(self, number: int, relative: bool) -> np.dtype[Any]:
        allowed: dict[int, np.dtype[Any]]
        if self.stage is not None:
            code = np.dtype(self.stage.code_dtype)
            allowed = {_code_coding(self.stage): code}
            if relative and not self.stage.allows_base:
                allowed = {}
        elif relative:
            allowed = {MAGNITUDE_BINS: np.dtype("<u4"), PCODEC: np.dtype("<i4")}
        else:
            allowed = {BINS: np.dtype("<u4"), PCODEC: FLOAT32}
        if number not in allowed:
            raise PayloadError(f"payload has value coding {number}, which does not belong here")
        return allowed[number]

    def _read_sides(
        self, reader: ByteReader, shapes: Sequence[tuple[int, ...]]
    ) -> list[Array | None]:
        if self.stage is None:
            return [None] * len(shapes)
        dtype = np.dtype(self.stage.side_dtype)
        written = []
        for shape in side_shapes(self.stage, shapes):
            data = reader.take(dtype.itemsize * self.stage.side_count(shape))
            written.append(np.frombuffer(data, dtype))
            self.stage.check_side(written[-1])
        return [*side_of_each(self.stage, written, len(shapes))]

    def _weights(self, codes: Array, number: int, places: Places, side: Array | None) -> Array:
        if self.stage is not None and side is not None:
            return self.stage.from_codes(codes, places, side)
        return _plain_weights(codes, number, places.base)


def _plain_weights(codes: Array, number: int, near: Array | None) -> Array:
    """Return the weights of codes that no stage has made."""
    if near is None:
        return codes if number == PCODEC else float_values(codes)
    if number == PCODEC:
        codes = zigzag(codes.view(np.uint32))
    return add_differences(codes, near)


def _code_coding(stage: ElementStage) -> int:
    return RADIX if np.dtype(stage.code_dtype).itemsize == 1 else BINS


def _values(
    coding: int,
    side: bytes,
    numbers: list[Array],
    *,
    relative: bool = False,
    layout: Layout | None = None,
) -> bytes:
    """Code the survivors' numbers, in the order of the layout if there is one."""
    count = sum(map(len, numbers))
    tag = coding | (RELATIVE if relative else 0)
    bands = b""
    if layout is not None and layout.divided:
        tag |= BANDED
        bands = write_bands(layout.bands)
        numbers = layout.arranged(numbers)
    return write_varint(count) + bytes([tag]) + bands + side + write_values(numbers, coding)


def _blocks(mask: MaskSource, unit: int, bands: Bands | None) -> Iterator[Positions]:
    """Yield where the survivors of a layer are, band by band if it is divided."""
    if bands is None:
        yield from mask.blocks(unit)
        return
    for band in range(bands.count):
        for inside in mask.blocks(unit + band):
            yield bands.in_layer(band, inside)


def _shaped(flat: Array, spec: ArraySpec) -> Array:
    return flat.reshape(spec.shape).astype(spec.dtype, copy=False)


def _body(mask: CodedMask, values: bytes, *, relative: bool = False) -> Body:
    return Body(mask.data, values, "values" if relative else mask.base_need)


def _cost(body: Body) -> int:
    # A base is named by a hash of 8 bytes; without need for one, a payload is good for anybody.
    return len(body.mask) + len(body.values) + (8 if body.base_need != "none" else 0)


def from_spec(arguments: tuple[str, ...]) -> SparseCodec:
    """Build ``sparse`` or ``sparse:pcodec``; the lossy forms belong to ``flwr_gan.compress``."""
    if not arguments:
        return SparseCodec()
    if arguments == ("pcodec",):
        from flwr_gan.codecs.pcodec_codec import pcodec_module

        pcodec_module()
        return SparseCodec(numbers="pcodec")
    raise CodecError(f"codec {':'.join(('sparse', *arguments))!r} cannot be read; allowed: {FORMS}")


FORMS = "sparse, " + ", ".join(
    f"sparse:{form}" for form in ("pcodec", "int8", "int6", "int5", "int4", "fp16", "bf16")
)
