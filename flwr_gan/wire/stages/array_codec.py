"""A stage that changes whole arrays, and the codec that codes its parts."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec, check_encodable
from flwr_gan.wire.codecs.base import BaseNeed, BaseUse, Body, Codec, refuse_base
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.sparse.codec import SparseCodec
from flwr_gan.wire.codecs.sparse.parts import FLOAT32, base_layers, is_weight
from flwr_gan.wire.codecs.stage import Stage
from flwr_gan.wire.codecs.varint import ByteReader
from flwr_gan.wire.stages.array_stage import ArrayStage, SelectingStage


class ArrayStagedCodec(Codec):
    """An array stage in front of any codec, which may have stages itself. Lossy.

    The codec is given the stage's parts instead of float32 arrays, and all other arrays.
    """

    name = "array staged"
    wire_id = -1
    lossless = False

    def __init__(self, *, stage: ArrayStage, codec: Codec) -> None:
        self.stage = stage
        self.codec = codec
        self.spec = f"{stage.spec}+{codec.spec}"
        self.general = codec.general
        # The codec may be given a base where parts have the arrays' shapes.
        self.takes_base = stage.relative or (stage.keeps_shapes and codec.takes_base)
        self.updates = stage.relative or codec.updates
        self.contractive = stage.contractive
        if not codec.lossless and stage.contractive:
            # A layer loses little if the stage that codes its factors is fine.
            behind = getattr(codec, "stage", None)
            kept = stage.keeps_shapes or (isinstance(behind, Stage) and behind.fine)
            self.contractive = kept and codec.contractive

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Code the parts; a base is used by the stage, or if parts have the arrays' shapes."""
        stage = self.stage
        if not stage.keeps_shapes and not (stage.relative and base_use == "values"):
            refuse_base(base_use, self.spec)
        held = None if base is None or not stage.relative else base_layers(base)
        checked = [check_encodable(array) for array in arrays]
        weights = [array.astype(FLOAT32, copy=False) for array in checked if is_weight(array.dtype)]
        behind = base if stage.keeps_shapes and self.codec.takes_base else None
        use = "auto" if behind is None else base_use
        codec = self.codec
        may = use != "mask" and not codec.lossless
        if held and may and isinstance(stage, SelectingStage) and isinstance(codec, SparseCodec):
            # Unchanged weights are not computed, unless a change cannot be coded.
            with suppress(CodecError):
                moving = stage.chosen(weights, held)
                return codec.encode_bundle(
                    checked, strict=strict, base=base, base_use=use, moving=moving
                )
        head, parts_of = stage.apply(weights, held)
        parts = iter(parts_of)
        inner: list[Array] = []
        for array in checked:
            if is_weight(array.dtype):
                inner += [part.astype(array.dtype, copy=False) for part in next(parts)]
            else:
                inner.append(array)
        body = self.codec.encode_bundle(inner, strict=strict, base=behind, base_use=use)
        own = held is not None and not stage.keeps_shapes
        need: BaseNeed = "values" if own else body.base_need
        # Stages that keep the shapes restore exactly their parts.
        decoded = body.decoded if stage.keeps_shapes else None
        return Body(body.mask, Pieces([head, body.values]), need, decoded)

    def opened(
        self, body: Body, specs: Sequence[ArraySpec]
    ) -> tuple[Body, list[list[ArraySpec]], list[Any]]:
        """Return the body of the codec after the stage, and the specs of each array's parts.

        The third item is the stage's further knowledge of each weight array. Raises
        ``PayloadError`` if the stage's data is damaged.
        """
        reader = ByteReader(body.values, what="values")
        weights = [spec for spec in specs if is_weight(spec.dtype)]
        shapes_of, known = self.stage.read(reader, [spec.shape for spec in weights])
        shapes = iter(shapes_of)
        parts = [
            [ArraySpec(shape, spec.dtype) for shape in next(shapes)]
            if is_weight(spec.dtype)
            else [spec]
            for spec in specs
        ]
        return Body(body.mask, bytes(reader.rest()), body.base_need), parts, known

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode the parts, then the arrays from them."""
        inner, parts_of, known = self.opened(body, specs)
        known_of = iter(known)
        keeps = self.stage.keeps_shapes
        held = base if keeps and self.codec.takes_base else None
        own = base is not None and self.stage.relative and not keeps
        nears = iter(base_layers(base) if own and base is not None else [])
        flat = [spec for parts in parts_of for spec in parts]
        decoded = iter(self.codec.decode_bundle(inner, flat, base=held))
        arrays = []
        for spec, part_specs in zip(specs, parts_of, strict=True):
            parts = [next(decoded) for _ in part_specs]
            if is_weight(spec.dtype):
                native = [part.astype(FLOAT32, copy=False) for part in parts]
                near = next(nears, None)
                restored = self.stage.restore(native, spec.shape, near, next(known_of))
                arrays.append(np.asarray(restored).astype(spec.dtype, copy=False))
            else:
                arrays.append(parts[0])
        return arrays
