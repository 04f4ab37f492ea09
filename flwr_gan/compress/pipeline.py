"""A stage and the codec behind it, joined by their spec.

Before ``sparse`` a stage codes the survivors of the mask. Before any other codec its codes stand in
an array of the weights' shape, in which 0 is pruned.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from flwr_gan.codecs.arrays import Array, ArraySpec, canonical_zeros, check_encodable
from flwr_gan.codecs.base import BaseUse, Body, Codec, refuse_base
from flwr_gan.codecs.registry import codec_by_id, plain_codec
from flwr_gan.codecs.sparse.codec import SparseCodec
from flwr_gan.codecs.sparse.parts import base_layers, is_weight
from flwr_gan.compress.stage import Stage, get_stage, stage_by_id
from flwr_gan.errors import CodecError, PayloadError

SHORT_FORMS = {
    "sparse:int8": "quantize:int8:layer+sparse",
    "sparse:int6": "quantize:int6:layer+sparse",
    "sparse:int5": "quantize:int5:layer+sparse",
    "sparse:int4": "quantize:int4:layer+sparse",
    "sparse:fp16": "cast:fp16+sparse",
    "sparse:bf16": "cast:bf16+sparse",
}

_BLOCK = 1 << 17


class StagedCodec(Codec):
    """A stage in front of a codec that knows no mask. Lossy in the float32 arrays alone.

    Parameters
    ----------
    stage : Stage
        Turns float32 arrays into codes.
    codec : Codec
        Codes the codes, the stage's other numbers, and the arrays of other types.
    """

    name: ClassVar[str] = "staged"
    wire_id: ClassVar[int] = -1
    lossless = False

    def __init__(self, *, stage: Stage, codec: Codec) -> None:
        self.stage = stage
        self.codec = codec
        self.spec = f"{stage.spec}+{codec.spec}"

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code the codes in the place of the weights, then the stage's numbers."""
        refuse_base(base_use, self.spec)
        parts, sides = [], []
        for array in map(check_encodable, arrays):
            if is_weight(array.dtype):
                codes, side = self._dense_codes(array)
                parts.append(codes)
                sides.append(side)
            else:
                parts.append(array)
        return self.codec.encode_bundle([*parts, *sides], strict=strict)

    def _dense_codes(self, array: Array) -> tuple[Array, Array]:
        flat = base_layers([canonical_zeros(array)])[0]
        positions = np.flatnonzero(flat)
        side = self.stage.measure(flat[positions], positions, array.shape)
        codes = self.stage.to_codes(flat[positions], positions, array.shape, side, None)
        dense = np.zeros(array.size, self.stage.code_dtype)
        dense[positions] = np.where(codes, codes, codes.dtype.type(self.stage.zero_code))
        return dense.reshape(array.shape), side

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode the codes, then the weights from them."""
        weights = [spec for spec in specs if is_weight(spec.dtype)]
        code_dtype: np.dtype[Any] = np.dtype(self.stage.code_dtype)
        part_specs = [
            ArraySpec(spec.shape, code_dtype) if is_weight(spec.dtype) else spec for spec in specs
        ]
        side_specs = []
        for spec in weights:
            count = self.stage.side_count(spec.shape)
            if count > max(spec.size, 1):
                raise PayloadError(f"{self.stage.spec} does not fit an array of {spec.shape}")
            side_specs.append(ArraySpec((count,), np.dtype("<f4")))
        decoded = self.codec.decode_bundle(body, [*part_specs, *side_specs])
        sides = iter(decoded[len(specs) :])
        return [
            self._weights(part, next(sides), spec) if is_weight(spec.dtype) else part
            for part, spec in zip(decoded, specs, strict=False)
        ]

    def _weights(self, part: Array, side: Array, spec: ArraySpec) -> Array:
        self.stage.check_side(side)
        dense = part.reshape(-1)
        flat = np.zeros(spec.size, np.float32)
        for start in range(0, spec.size, _BLOCK):
            positions = start + np.flatnonzero(dense[start : start + _BLOCK])
            codes = dense[positions]
            if self.stage.zero_code:
                codes = np.where(codes == self.stage.zero_code, codes.dtype.type(0), codes)
            flat[positions] = self.stage.from_codes(codes, positions, spec.shape, side, None)
        return flat.reshape(spec.shape).astype(spec.dtype, copy=False)


def is_staged(spec: str) -> bool:
    """Return True if a spec has a stage, spelled out or in a short form."""
    return "+" in spec or spec in SHORT_FORMS


def from_spec(spec: str) -> Codec:
    """Build the codec of a spec for which ``is_staged`` is True.

    Raises
    ------
    CodecError
        If the stage or the codec is unknown, or they do not go together.
    """
    *stages, last = SHORT_FORMS.get(spec, spec).split("+")
    if len(stages) != 1:
        raise CodecError(f"codec {spec!r} has {len(stages)} stages; one is allowed")
    if last in SHORT_FORMS:
        raise CodecError(f"codec {spec!r} has two stages, for {last} is {SHORT_FORMS[last]}")
    name, *arguments = last.split(":")
    return staged(get_stage(stages[0]), plain_codec(name, tuple(arguments)))


def staged(stage: Stage, codec: Codec) -> Codec:
    """Put a stage in front of a codec."""
    if isinstance(codec, SparseCodec):
        if codec.numbers != "bins":
            raise CodecError(f"{stage.spec} leaves no numbers for {codec.spec}; use +sparse")
        return SparseCodec(stage=stage)
    return StagedCodec(stage=stage, codec=codec)


def wire_numbers(codec: Codec) -> tuple[int, list[Stage]]:
    """Return the codec's number on the wire and the stages in front of it."""
    if isinstance(codec, StagedCodec):
        return codec.codec.wire_id, [codec.stage]
    if isinstance(codec, SparseCodec) and isinstance(codec.stage, Stage):
        return codec.wire_id, [codec.stage]
    return codec.wire_id, []


def from_wire(codec_id: int, stages: Sequence[tuple[int, int]]) -> Codec:
    """Build the codec that a payload's header names, or raise ``PayloadError``."""
    codec = codec_by_id(codec_id)
    if not stages:
        return codec
    if len(stages) > 1:
        raise PayloadError(f"payload has {len(stages)} stages; this version knows one at a time")
    return staged(stage_by_id(*stages[0]), codec)
