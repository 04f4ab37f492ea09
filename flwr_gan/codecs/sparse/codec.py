"""The codec ``sparse``: a mask, and the values of what survives it.

float32 arrays are taken apart into mask and values; arrays of other types travel byte plane by
byte plane. A value is coded as it is, as its difference to a base that the receiver holds, or as
the code that a stage (``flwr_gan.compress``) turned it into.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array, ArraySpec
from flwr_gan.codecs.base import BaseUse, Body, Codec, prepared
from flwr_gan.codecs.sparse import values as coding
from flwr_gan.codecs.sparse.floats import (
    add_differences,
    float_keys,
    float_values,
    ordered_differences,
    unzigzag,
    zigzag,
)
from flwr_gan.codecs.sparse.masks import SAME, CodedMask, derivable, open_mask, write_mask
from flwr_gan.codecs.sparse.planes import read_planes, write_planes
from flwr_gan.codecs.sparse.positions import Mask
from flwr_gan.codecs.stage import ElementStage, SideValues
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.errors import CodecError, PayloadError

RELATIVE = 0x80
"""Bit of the value coding that says that values are differences to the base."""

FLOAT32 = np.dtype("<f4")


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
        arrays = prepared(arrays, strict=strict)
        layers = [_flat(array) for array in arrays if is_weight(array.dtype)]
        shapes = [array.shape for array in arrays if is_weight(array.dtype)]
        masks = [layer.view(np.uint32) != 0 for layer in layers]
        held = None if base is None else base_layers(base)
        others = write_planes([array for array in arrays if not is_weight(array.dtype)])
        full = base_use in ("auto", "mask") or held is None
        candidates: list[Body] = []
        if full:
            mask = write_mask(masks, base=held, use_mask=held is not None, derive=False)
            values = self._values(layers, masks, shapes, None)
            candidates.append(_body(mask, values + others, relative=False))
        if held is not None and base_use == "derive":
            mask = write_mask(masks, base=held, use_mask=False, derive=True)
            candidates += self._with_values(layers, masks, shapes, held, mask, others, False)
        if held is not None and base_use in ("auto", "values"):
            mask = write_mask(masks, base=held, use_mask=True, derive=False)
            if base_use == "auto" and mask.mode != SAME and derivable(masks, held):
                mask = write_mask(masks, base=held, use_mask=False, derive=True)
            forced = base_use == "values"
            candidates += self._with_values(layers, masks, shapes, held, mask, others, forced)
        return min(candidates, key=_cost)

    def _with_values(
        self,
        layers: list[Array],
        masks: list[Mask],
        shapes: list[tuple[int, ...]],
        held: list[Array],
        mask: CodedMask,
        others: bytes,
        forced: bool,
    ) -> list[Body]:
        bodies = []
        try:
            values = self._values(layers, masks, shapes, held)
            bodies.append(_body(mask, values + others, relative=True))
        except CodecError:
            if forced:
                raise
        if not forced:
            values = self._values(layers, masks, shapes, None)
            bodies.append(_body(mask, values + others, relative=False))
        return bodies

    def _values(
        self,
        layers: list[Array],
        masks: list[Mask],
        shapes: list[tuple[int, ...]],
        held: list[Array] | None,
    ) -> bytes:
        survivors = [layer[mask] for layer, mask in zip(layers, masks, strict=True)]
        bases = None
        if held is not None:
            bases = [layer[mask] for layer, mask in zip(held, masks, strict=True)]
        count = write_varint(sum(map(len, survivors)))
        relative = RELATIVE if held is not None else 0
        if self.stage is not None:
            side, codes = self._staged(survivors, masks, shapes, bases)
            number = _code_coding(self.stage)
            data = coding.write_values(codes, number)
            return count + bytes([number | relative]) + side + data
        if self.numbers == "pcodec":
            if bases is None:
                data = coding.write_values(survivors, coding.PCODEC)
            else:
                pairs = zip(survivors, bases, strict=True)
                steps = [unzigzag(ordered_differences(a, b)).view(np.int32) for a, b in pairs]
                data = coding.write_values(steps, coding.PCODEC)
            return count + bytes([coding.PCODEC | relative]) + data
        if bases is None:
            data = coding.write_values([float_keys(part) for part in survivors], coding.BINS)
            return count + bytes([coding.BINS]) + data
        steps = [ordered_differences(a, b) for a, b in zip(survivors, bases, strict=True)]
        data = coding.write_values(steps, coding.MAGNITUDE_BINS)
        return count + bytes([coding.MAGNITUDE_BINS | relative]) + data

    def _staged(
        self,
        survivors: list[Array],
        masks: list[Mask],
        shapes: list[tuple[int, ...]],
        bases: list[Array] | None,
    ) -> tuple[bytes, list[Array]]:
        assert self.stage is not None
        side = b""
        codes = []
        for at, (values, mask, shape) in enumerate(zip(survivors, masks, shapes, strict=True)):
            positions = np.flatnonzero(mask)
            base = None if bases is None else bases[at]
            scales = self.stage.measure(values, positions, shape)
            side += scales.astype("<f4").tobytes()
            codes.append(self.stage.to_codes(values, positions, shape, scales, base))
        return side, codes

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode block by block into zeroed arrays."""
        weights = [spec for spec in specs if is_weight(spec.dtype)]
        held = None if base is None else base_layers(base)
        reader = ByteReader(body.values, what="values")
        lengths = [spec.size for spec in weights]
        total = reader.varint(limit=sum(lengths))
        tag = reader.byte()
        relative = bool(tag & RELATIVE)
        if relative and held is None:
            raise PayloadError("unknown_base: the values are differences to a base not given")
        dtype = self._value_dtype(tag & ~RELATIVE, relative)
        side = [self._read_side(reader, spec.shape) for spec in weights]
        values = coding.ValueReader(reader, coding=tag & ~RELATIVE, dtype=dtype, total=total)
        mask = open_mask(body.mask, lengths, held)
        decoded = []
        for layer, spec in enumerate(weights):
            flat = np.zeros(spec.size, FLOAT32)
            for positions in mask.blocks(layer):
                codes = values.read(len(positions))
                near = held[layer][positions] if relative and held is not None else None
                flat[positions] = self._weights(
                    codes, tag & ~RELATIVE, positions, side[layer], near
                )
            decoded.append(_shaped(flat, spec))
        mask.finish()
        values.finish()
        others = read_planes(reader, [spec for spec in specs if not is_weight(spec.dtype)])
        reader.finish()
        weight, other = iter(decoded), iter(others)
        return [next(weight if is_weight(spec.dtype) else other) for spec in specs]

    def _value_dtype(self, number: int, relative: bool) -> np.dtype[Any]:
        allowed: dict[int, np.dtype[Any]]
        if self.stage is not None:
            code = np.dtype(self.stage.code_dtype)
            allowed = {_code_coding(self.stage): code}
            if relative and not self.stage.allows_base:
                allowed = {}
        elif relative:
            allowed = {coding.MAGNITUDE_BINS: np.dtype("<u4"), coding.PCODEC: np.dtype("<i4")}
        else:
            allowed = {coding.BINS: np.dtype("<u4"), coding.PCODEC: FLOAT32}
        if number not in allowed:
            raise PayloadError(f"payload has value coding {number}, which does not belong here")
        return allowed[number]

    def _read_side(self, reader: ByteReader, shape: tuple[int, ...]) -> SideValues | None:
        if self.stage is None:
            return None
        count = self.stage.side_count(shape)
        side = np.frombuffer(bytes(reader.take(4 * count)), FLOAT32)
        self.stage.check_side(side)
        return SideValues(side, shape)

    def _weights(
        self,
        codes: Array,
        number: int,
        positions: Array,
        side: SideValues | None,
        near: Array | None,
    ) -> Array:
        if self.stage is not None and side is not None:
            return self.stage.from_codes(codes, positions, side.shape, side.values, near)
        if near is None:
            return codes if number == coding.PCODEC else float_values(codes)
        if number == coding.PCODEC:
            codes = zigzag(codes.view(np.uint32))
        return add_differences(codes, near)


def _code_coding(stage: ElementStage) -> int:
    return coding.RADIX if np.dtype(stage.code_dtype).itemsize == 1 else coding.BINS


def is_weight(dtype: np.dtype[Any]) -> bool:
    """Return True for float32, of either byte order: what has a mask."""
    return dtype.newbyteorder("<") == FLOAT32


def base_layers(base: Sequence[Array]) -> list[Array]:
    """Return the float32 arrays of a base, flat and little-endian."""
    return [_flat(array) for array in base if is_weight(array.dtype)]


def _flat(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).astype(FLOAT32, copy=False)


def _shaped(flat: Array, spec: ArraySpec) -> Array:
    return flat.reshape(spec.shape).astype(spec.dtype, copy=False)


def _body(mask: CodedMask, values: bytes, *, relative: bool) -> Body:
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
