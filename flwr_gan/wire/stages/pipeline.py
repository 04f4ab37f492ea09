"""Stages and the codec after them, built from their spec.

First come stages that change whole arrays, then at most one that codes single weights. Before
``sparse``, it codes the survivors of the mask. Before any other codec, its codes fill an array of
the weights' shape, in which 0 means pruned; if no code is free to stand for a survivor's 0, the
bits of the mask are sent too. If the receiver holds a base, codes stand for the differences of the
weights to it in both cases.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec, check_encodable
from flwr_gan.wire.codecs.base import BaseUse, Body, Codec, refuse_base
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.registry import codec_by_id, plain_codec
from flwr_gan.wire.codecs.sparse.codec import SparseCodec
from flwr_gan.wire.codecs.sparse.parts import Parts, base_layers, is_weight
from flwr_gan.wire.codecs.stage import Stage, differences, side_of_each, side_shapes
from flwr_gan.wire.stages.array_codec import ArrayStagedCodec
from flwr_gan.wire.stages.array_stage import ArrayStage, SelectingStage
from flwr_gan.wire.stages.registry import get_stage, is_stage, stage_by_id

SHORT_STAGES = {f"int{bits}": f"quantize:int{bits}:layer" for bits in range(2, 9)} | {
    "fp16": "cast:fp16",
    "bf16": "cast:bf16",
}
"""Short forms of stages that code weights; also valid after a ``+``, as in ``topk:0.01+int4``."""

SHORT_FORMS = {
    f"sparse:{word}": f"{SHORT_STAGES[word]}+sparse"
    for word in ("int8", "int6", "int5", "int4", "fp16", "bf16")
}

MAX_STAGES = 7
"""Maximum number of stages: the room in the header."""

_BLOCK = 1 << 17
_RELATIVE = b"\x01"
"""Marker instead of a mask: codes stand for differences to a base."""


class StagedCodec(Codec):
    """A stage in front of a codec without a mask. Only float32 arrays are lossy.

    The codec is given the stage's codes, its other numbers, and the arrays of other types.
    """

    name = "staged"
    wire_id = -1
    lossless = False
    takes_base = True

    def __init__(self, *, stage: Stage, codec: Codec) -> None:
        self.stage = stage
        self.codec = codec
        self.spec = f"{stage.spec}+{codec.spec}"
        self.contractive = stage.contractive

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code the stage's codes instead of the weights, then the stage's numbers.

        With a base, codes stand for differences to it; if a difference is not finite, for the
        weights, unless ``base_use`` is ``"values"``.
        """
        if base_use != "values":
            refuse_base(base_use, self.spec)
        checked = [check_encodable(array) for array in arrays]
        parts = Parts([array for array in checked if is_weight(array.dtype)], strict=False)
        stage, values, mask = self.stage, parts.values, b""
        if base is not None:
            try:
                nears = parts.at_survivors(base_layers(base))
                values = list(map(differences, values, nears))
                stage, mask = stage.for_differences(), _RELATIVE
            except CodecError:
                if base_use == "values":
                    raise
        written = stage.measure_all(values, parts.places)
        sides = side_of_each(stage, written, len(values))
        layers = zip(values, parts.places, sides, strict=True)
        coded = iter([_dense_codes(stage, *layer) for layer in layers])
        inner = [next(coded) if is_weight(array.dtype) else array for array in checked]
        if stage.block_length:
            # Zeros up to the number of blocks that there would be without pruning.
            pairs = zip(written, parts.shapes, strict=True)
            written = [
                np.pad(side, (0, stage.side_count(shape) - len(side))) for side, shape in pairs
            ]
        masks = [support.packed for support in parts.supports] if stage.zero_code is None else []
        body = self.codec.encode_bundle([*inner, *written, *masks], strict=strict)
        return Body(mask, body.values, "values" if mask else "none")

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode the codes, then the weights from them."""
        if body.mask not in (b"", _RELATIVE):
            raise PayloadError(f"{self.spec} payload has a mask, which {self.spec} never writes")
        if body.mask and base is None:
            raise PayloadError("unknown_base: the values are differences to a base not given")
        stage = self.stage.for_differences() if body.mask else self.stage
        weights = [spec for spec in specs if is_weight(spec.dtype)]
        shapes = [spec.shape for spec in weights]
        code_dtype: np.dtype[Any] = np.dtype(stage.code_dtype)
        part_specs = [
            ArraySpec(spec.shape, code_dtype) if is_weight(spec.dtype) else spec for spec in specs
        ]
        for shape in side_shapes(stage, shapes):
            count = stage.side_count(shape)
            if count > 2 * max(math.prod(shape), 1):
                raise PayloadError(f"{stage.spec} does not fit an array of {shape}")
            part_specs.append(ArraySpec((count,), np.dtype(stage.side_dtype)))
        sides_end = len(part_specs)
        if stage.zero_code is None:
            part_specs += [ArraySpec((-(-w.size // 8),), np.dtype(np.uint8)) for w in weights]
        decoded = self.codec.decode_bundle(Body(b"", body.values), part_specs)
        written = decoded[len(specs) : sides_end]
        for side in written:
            stage.check_side(side)
        sides = iter(side_of_each(stage, written, len(shapes)))
        masks = iter(decoded[sides_end:])
        nears = iter(base_layers(base) if body.mask and base is not None else [])
        return [
            _decoded_weights(stage, part, next(sides), next(masks, None), spec, next(nears, None))
            if is_weight(spec.dtype)
            else part
            for part, spec in zip(decoded, specs, strict=False)
        ]


def _dense_codes(stage: Stage, values: Array, places: Places, side: Array) -> Array:
    codes = stage.coded(values, places, side)
    dense = np.zeros(math.prod(places.shape), stage.code_dtype)
    zero = stage.zero_code
    codes = codes if zero is None else np.where(codes, codes, codes.dtype.type(zero))
    dense[places.positions] = codes
    return dense.reshape(places.shape)


def _decoded_weights(
    stage: Stage,
    part: Array,
    side: Array,
    mask: Array | None,
    spec: ArraySpec,
    near: Array | None,
) -> Array:
    dense = part.reshape(-1)
    flat = np.zeros(spec.size, np.float32)
    if mask is not None and spec.size % 8 and mask[-1] >> spec.size % 8:
        raise PayloadError("a mask has bits behind the end of its layer")
    first = 0
    for start in range(0, spec.size, _BLOCK):
        block = dense[start : start + _BLOCK]
        taken = block
        if mask is not None:
            bits = mask[start // 8 : (start + _BLOCK) // 8]
            taken = np.unpackbits(bits, count=len(block), bitorder="little")
            if block[taken == 0].any():
                raise PayloadError(f"{stage.spec}: a pruned weight has a code")
        inside = np.flatnonzero(taken)
        codes = block[inside]
        if stage.zero_code:
            codes = np.where(codes == stage.zero_code, codes.dtype.type(0), codes)
        places = Places(start + inside, spec.shape, first)
        of_block = side[first // stage.block_length :] if stage.block_length else side
        held = None if near is None else near[places.positions]
        flat[places.positions] = stage.from_codes(codes, places, of_block, held)
        first += len(inside)
    if stage.block_length and side[-(-first // stage.block_length) :].any():
        raise PayloadError(f"{stage.spec}: there are more scales than blocks of weights")
    return flat.reshape(spec.shape).astype(spec.dtype, copy=False)


def is_staged(spec: str) -> bool:
    """Return True if a spec has a stage, in full or in a short form."""
    return "+" in spec or spec in (*SHORT_FORMS, *SHORT_STAGES) or is_stage(spec.split(":")[0])


def from_spec(spec: str) -> Codec:
    """Build the codec of a spec for which ``is_staged`` is True.

    The default codec after the stages is ``sparse``. Raises ``CodecError`` if a stage or codec is
    unknown, or they cannot be combined.
    """
    words = [SHORT_STAGES.get(word, word) for word in spec.split("+")]
    if is_stage(words[-1].split(":")[0]):
        words.append(SparseCodec.name)
    *words, last = words
    stages = [get_stage(word) for word in words]
    short = last in SHORT_FORMS
    if short:
        word, last = SHORT_FORMS[last].split("+")
        stages.append(get_stage(word))
    coding = [stage for stage in stages if isinstance(stage, Stage)]
    if len(coding) > 1 and short:
        raise CodecError(
            f"codec {spec!r} has two stages that code weights: {coding[1].spec} is in it"
        )
    if len(coding) > 1:
        count = len(coding)
        raise CodecError(f"codec {spec!r} has {count} stages that code weights; one is allowed")
    if coding and coding[0] is not stages[-1]:
        raise CodecError(f"codec {spec!r}: {stages[-1].name} must stand before {coding[0].name}")
    if len(stages) > MAX_STAGES:
        raise CodecError(
            f"codec {spec!r} has {len(stages)} stages; at most {MAX_STAGES} are allowed"
        )
    name, *arguments = last.split(":")
    codec = plain_codec(name, tuple(arguments))
    selecting = any(isinstance(stage, SelectingStage) for stage in stages)
    if selecting and coding and not coding[0].keeps_still and not isinstance(codec, SparseCodec):
        raise CodecError(
            f"codec {spec!r}: {coding[0].spec} has no code for weights that did not change; "
            f"allowed: the codec sparse behind it, or a stage that has one, such as ternary"
        )
    return staged(stages, codec)


def unbiased_spec(spec: str) -> str:
    """Return a spec with the unbiased forms of stages that have one, for use without feedback."""
    words = []
    for word in spec.split("+"):
        known = is_stage(word.split(":")[0])
        words.append((known and get_stage(word).unbiased) or word)
    return "+".join(words)


def staged(stages: Sequence[Stage | ArrayStage], codec: Codec) -> Codec:
    """Put stages in front of a codec: any array stages, then at most one that codes weights."""
    for stage in reversed(stages):
        if isinstance(stage, ArrayStage):
            codec = ArrayStagedCodec(stage=stage, codec=codec)
        elif not isinstance(codec, SparseCodec):
            codec = StagedCodec(stage=stage, codec=codec)
        elif codec.numbers != "bins":
            raise CodecError(f"{stage.spec} leaves no numbers for {codec.spec}; use +sparse")
        else:
            codec = SparseCodec(stage=stage)
    return codec


def wire_numbers(codec: Codec) -> tuple[int, list[Stage | ArrayStage]]:
    """Return the codec's wire number and the stages in front of it."""
    if isinstance(codec, ArrayStagedCodec):
        number, stages = wire_numbers(codec.codec)
        return number, [codec.stage, *stages]
    if isinstance(codec, StagedCodec):
        return codec.codec.wire_id, [codec.stage]
    if isinstance(codec, SparseCodec) and isinstance(codec.stage, Stage):
        return codec.wire_id, [codec.stage]
    return codec.wire_id, []


def from_wire(codec_id: int, numbers: Sequence[tuple[int, int]]) -> Codec:
    """Build the codec that a payload's header names, or raise ``PayloadError``."""
    codec = codec_by_id(codec_id)
    stages = [stage_by_id(*pair) for pair in numbers]
    coding = [stage for stage in stages if isinstance(stage, Stage)]
    if len(coding) > 1:
        raise PayloadError(f"payload has {len(coding)} stages that code weights; one is allowed")
    if coding and coding[0] is not stages[-1]:
        raise PayloadError(f"payload has a stage behind {coding[0].name}, which codes weights")
    return staged(stages, codec)
