"""The codec ``sparse``: a mask, and the values of the surviving weights.

float32 arrays are taken apart into mask and values; arrays of other types travel byte plane by
byte plane. A value is coded as it is, as its difference to a base that the receiver holds, or as
the code that a stage (``flwr_gan.wire.stages``) made of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec, check_encodable
from flwr_gan.wire.codecs.base import BaseUse, Body, Codec, prepared
from flwr_gan.wire.codecs.pcodec_codec import pcodec_module
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.bands import Bands
from flwr_gan.wire.codecs.sparse.masks import (
    LAYERED,
    SAME,
    CodedMask,
    MaskSource,
    derived_mask,
    open_mask,
    write_mask,
)
from flwr_gan.wire.codecs.sparse.numbers import (
    Written,
    write_differences,
    write_full,
)
from flwr_gan.wire.codecs.sparse.parts import (
    FLOAT32,
    KnownBase,
    Parts,
    base_layers,
    is_weight,
)
from flwr_gan.wire.codecs.sparse.planes import read_planes, write_planes
from flwr_gan.wire.codecs.sparse.support import Block, Positions, Support
from flwr_gan.wire.codecs.sparse.survivors import SurvivorReader, read_at_once
from flwr_gan.wire.codecs.stage import Stage
from flwr_gan.wire.codecs.varint import ByteReader

_WORTH_DERIVING = 64
"""Bytes of a mask; deriving it from the base takes 11 and a pass over all magnitudes."""


class SparseCodec(Codec):
    """Sparse coding of float32 weights. Lossless without a stage.

    Lossless values are coded in ``bins``, by numpy and the standard library, the same bytes on
    every machine; or by the library ``pcodec``, about 3 % shorter.
    """

    name = "sparse"
    wire_id = 7
    general = False
    takes_base = True

    def __init__(self, *, numbers: str = "bins", stage: Stage | None = None) -> None:
        self.numbers = numbers
        self.stage = stage
        self.spec = "sparse" if numbers == "bins" else f"sparse:{numbers}"
        if stage is not None:
            self.spec = f"{stage.spec}+{self.spec}"
        self.lossless = stage is None
        self.decodes_finite = stage is not None and stage.decodes_finite
        self.contractive = stage is not None and stage.contractive

    @classmethod
    def from_spec(cls, words: tuple[str, ...]) -> Codec:
        """Build ``sparse`` or ``sparse:pcodec``; the lossy forms are stages."""
        if words not in ((), ("pcodec",)):
            spec = ":".join((cls.name, *words))
            raise CodecError(f"codec {spec!r} cannot be read; allowed: {FORMS}")
        if words:
            pcodec_module()
        return cls(numbers=words[0] if words else "bins")

    @property
    def keeps_sign(self) -> bool:
        """True if the stage keeps signs."""
        return self.stage is None or self.stage.keeps_sign

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
        moving: Sequence[Positions] | None = None,
    ) -> Body:
        """Code the arrays; use the base as ``base_use`` allows and where that saves bytes.

        With a stage, ``moving`` codes them as if only the weights at some places had changed: for
        each float32 array the places (int64, ascending) among the weights that survive on both
        sides. Then it also raises ``CodecError`` if the stage cannot code a change.
        """
        if base_use != "auto" and base is None:
            raise CodecError(f"base_use={base_use!r} needs a base")
        checked = [check_encodable(array) for array in arrays]
        weights = [array for array in checked if is_weight(array.dtype)]
        others = [array for array in checked if not is_weight(array.dtype)]
        parts = Parts(weights, strict=strict and self.lossless)
        held = None if base is None else base_layers(base)
        tail = write_planes(prepared(others, strict=strict))
        body = min(self._candidates(parts, held, base_use, tail, moving), key=_cost)

        def decoded() -> list[Array]:
            if body.decoded is None:
                return [prepared([array], strict=strict)[0].copy() for array in checked]
            weight = map(_scattered, parts.supports, body.decoded(), weights)
            other = (array.copy() for array in prepared(others, strict=strict))
            return [next(weight if is_weight(array.dtype) else other) for array in checked]

        return replace(body, decoded=decoded)

    def _candidates(
        self,
        parts: Parts,
        held: KnownBase | None,
        base_use: BaseUse,
        tail: Pieces,
        moving: Sequence[Positions] | None,
    ) -> Iterator[Body]:
        """Yield every allowed coding; of equally short ones the first is taken.

        Their ``decoded`` gives only survivors.
        """
        pcodec = self.numbers == "pcodec"
        if held is None:
            yield from self._alone(parts, tail)
            return
        changes = None
        if base_use != "mask":
            try:
                nears = parts.at_survivors(held)
                moved = None if moving is None else parts.moved(held, nears, moving)
                changes = write_differences(
                    parts, nears, stage=self.stage, pcodec=pcodec, moved=moved
                )
            except CodecError:
                if base_use == "values" or moving is not None:
                    raise
        mask = write_mask(parts.supports, base=held, derive=base_use == "derive")
        if base_use == "auto" and len(mask.data) > _WORTH_DERIVING:
            mask = derived_mask(parts.supports, held) or mask
        # A stage loses less of changes than of weights, so changes win whatever their size.
        if changes is None or (self.stage is None and base_use != "values"):
            if base_use == "auto":
                yield from self._alone(parts, tail)
            yield _body(mask, write_full(parts, stage=self.stage, pcodec=pcodec), tail)
        if changes is not None:
            yield _body(mask, changes, tail, relative=True)

    def _alone(self, parts: Parts, tail: Pieces) -> Iterator[Body]:
        """Yield the coding without a base, its layers divided into bands where that saves bytes."""
        bits = 26.0 if self.stage is None else 8.0 * np.dtype(self.stage.code_dtype).itemsize
        layout = parts.layout(bits_each=bits, values_gain=self.numbers != "pcodec")
        mask = write_mask(layout.supports, base=None)
        pcodec = self.numbers == "pcodec"
        yield _body(mask, write_full(parts, stage=self.stage, pcodec=pcodec, layout=layout), tail)

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode block by block into zeroed memory, which all float32 arrays share.

        The system allocates one large piece of memory far faster than many small ones.
        """
        weights = [spec for spec in specs if is_weight(spec.dtype)]
        lengths = [spec.size for spec in weights]
        memory = np.zeros(sum(lengths), FLOAT32)
        layers = np.split(memory, np.cumsum(lengths)[:-1]) if lengths else []
        held = None if base is None else base_layers(base)
        reader = ByteReader(body.values, what="values")
        values = SurvivorReader(
            reader,
            [spec.shape for spec in weights],
            stage=self.stage,
            limit=sum(lengths),
            has_base=held is not None,
            may_divide=body.mask[:1] == bytes([LAYERED]),
        )
        units = [
            length
            for whole, divided in zip(lengths, values.bands, strict=True)
            for length in (divided.lengths if divided else [whole])
        ]
        mask = open_mask(body.mask, units, held)
        unit = 0
        for layer, divided in enumerate(values.bands):
            for block in _blocks(mask, unit, divided):
                near = block.of(held[layer]) if values.relative and held is not None else None
                values.read(block, near, layers[layer])
            values.next_layer()
            unit += 1 if divided is None else divided.count
        mask.finish()
        values.finish()
        others = read_planes(reader, [spec for spec in specs if not is_weight(spec.dtype)])
        reader.finish()
        weight = map(_shaped, layers, weights)
        other = iter(others)
        return [next(weight if is_weight(spec.dtype) else other) for spec in specs]

    def survivors_at_once(self, body: Body, base: KnownBase) -> Array | None:
        """Return ``decode_survivors`` by a fast way, finite with a stage; None if there is none."""
        return read_at_once(body.joined, self.stage, base)

    def decode_survivors(self, body: Body, specs: Sequence[ArraySpec], *, base: KnownBase) -> Array:
        """Return only the survivors' float32 values, in row-major order, array after array.

        To be called only where ``survivors_are_all`` is true: the positions are the base's, so
        only the values are read, all at once.
        """
        reader = ByteReader(body.values, what="values")
        values = SurvivorReader(
            reader,
            [spec.shape for spec in specs],
            stage=self.stage,
            limit=len(base.survivors),
            has_base=True,
            may_divide=False,
        )
        weights = values.read_all(base)
        values.finish()
        reader.finish()
        return weights

    @staticmethod
    def survivors_are_all(body: Body, specs: Sequence[ArraySpec]) -> bool:
        """Return True if the mask is the base's and all arrays are float32."""
        return body.mask == bytes([SAME]) and all(is_weight(spec.dtype) for spec in specs)


def _blocks(mask: MaskSource, unit: int, bands: Bands | None) -> Iterator[Block]:
    """Yield the survivors' places in a layer, band by band if it is divided."""
    if bands is None:
        yield from mask.blocks(unit)
        return
    for band in range(bands.count):
        for inside in mask.blocks(unit + band):
            yield bands.block(band, inside)


def _shaped(flat: Array, spec: ArraySpec) -> Array:
    return flat.reshape(spec.shape).astype(spec.dtype, copy=False)


def _scattered(support: Support, survivors: Array, layer: Array) -> Array:
    """Return an array like ``layer`` with the survivors at their places."""
    if support.bits is not None:
        flat = np.zeros(support.length, FLOAT32)
        Block.of_support(0, support).put(flat, survivors)
        survivors = flat
    return _shaped(survivors, ArraySpec(layer.shape, layer.dtype))


def _body(mask: CodedMask, values: Written, tail: Pieces, *, relative: bool = False) -> Body:
    need = "values" if relative else mask.base_need
    return Body(mask.data, Pieces([values.data, tail]), need, values.weights)


def _cost(body: Body) -> int:
    # Naming a base takes a hash of 8 bytes; a payload without base can be read by anybody.
    return len(body.mask) + len(body.values) + (8 if body.base_need != "none" else 0)


FORMS = "sparse, " + ", ".join(
    f"sparse:{form}" for form in ("pcodec", "int8", "int6", "int5", "int4", "fp16", "bf16")
)
