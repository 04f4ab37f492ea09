"""The mask of a payload: in full, or as the changes to a mask that the receiver holds.

A mask is one set of survivors per layer. Modes, each tried where the base allows it:

- layered: every layer separately, without a base;
- same: the base's mask;
- nested: the base's mask without the positions listed;
- derived: the ``k`` largest magnitudes of the base (over all layers, or ``k`` for each layer), as
  magnitude pruning of lottery tickets picks them; a hash verifies it;
- changed: the base's mask without the listed survivors and with the listed zeros, for masks that
  are pruned and regenerated during training.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.sparse.largest import largest
from flwr_gan.wire.codecs.sparse.parts import BaseLayers
from flwr_gan.wire.codecs.sparse.positions import PositionReader, write_positions
from flwr_gan.wire.codecs.sparse.support import BLOCK, Block, Mask, Support
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

LAYERED, SAME, NESTED, DERIVED_GLOBAL, DERIVED_LOCAL, CHANGED = 0, 1, 2, 3, 4, 5
"""Mask modes on the wire (permanent)."""

MODE_NAMES = ("layered", "same", "nested", "derived", "derived by layer", "changed")

_HASH_BYTES = 8

Layer = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class CodedMask:
    """A coded mask, and what its receiver needs of the base."""

    data: bytes
    mode: int

    @property
    def base_need(self) -> Literal["none", "mask", "values"]:
        """What the decoder needs of the base."""
        if self.mode == LAYERED:
            return "none"
        return "values" if self.mode in (DERIVED_GLOBAL, DERIVED_LOCAL) else "mask"


def write_mask(
    supports: Sequence[Support], *, base: BaseLayers | None, derive: bool = False
) -> CodedMask:
    """Code a mask in the fewest bytes; the zero pattern of a base may be used.

    With ``derive``, the base's magnitudes must be used: raises ``CodecError`` if the survivors are
    not the largest of them.
    """
    if derive and base is not None:
        derived = derived_mask(supports, base)
        if derived is None:
            raise CodecError(
                "base_use='derive': the mask does not hold the largest magnitudes of the base; "
                "use base_use='mask'"
            )
        return derived
    if base is not None:
        held = [base.support(layer) for layer in range(len(base))]
        pairs = list(zip(supports, held, strict=True))
        if all(_are_equal(*pair) for pair in pairs):
            return CodedMask(bytes([SAME]), SAME)
        changes = [_changes(*pair) for pair in pairs]
        if any(gained.count for _, gained in changes):
            mode, sets = CHANGED, [one for both in changes for one in both]
        else:
            mode, sets = NESTED, [lost for lost, _ in changes]
        changed = CodedMask(bytes([mode]) + bytes(write_positions(sets)), mode)
        layered = _layered(supports)
        return layered if len(layered.data) <= len(changed.data) else changed
    return _layered(supports)


def _changes(new: Support, old: Support) -> tuple[Support, Support]:
    """Return which old survivors are lost, and which old zeros are gained."""
    lost = Support.of_bits(new.length, old.packed & ~new.packed).positions
    gained = Support.of_bits(new.length, new.packed & ~old.packed).positions
    zeros = old.length - old.count
    return Support.at(old.count, old.rank(lost)), Support.at(zeros, gained - old.rank(gained))


def _are_equal(new: Support, old: Support) -> bool:
    if new.bits is None or old.bits is None:
        return new.bits is old.bits
    return np.array_equal(new.bits, old.bits)


def _layered(supports: Sequence[Support]) -> CodedMask:
    return CodedMask(bytes([LAYERED]) + bytes(write_positions(supports)), LAYERED)


def derived_mask(supports: Sequence[Support], base: Sequence[Layer]) -> CodedMask | None:
    """Return the mask as a pruning of the base, over all or by layer; None if it is not one."""
    kept = [support.count for support in supports]
    masks = [support.mask for support in supports]
    pairs = list(zip(base, kept, strict=True))
    by_layer = [largest([layer], keep=keep)[0] for layer, keep in pairs]
    if not all(np.array_equal(mask, other) for mask, other in zip(masks, by_layer, strict=True)):
        # Pruning over all layers also keeps the largest of each layer.
        return None
    digest = mask_hash(masks)
    if mask_hash(largest(base, keep=sum(kept))) == digest:
        data = bytes([DERIVED_GLOBAL]) + write_varint(sum(kept)) + digest
        return CodedMask(data, DERIVED_GLOBAL)
    data = bytes([DERIVED_LOCAL]) + b"".join(map(write_varint, kept)) + digest
    return CodedMask(data, DERIVED_LOCAL)


def mask_hash(masks: Sequence[Mask]) -> bytes:
    """Return the first 8 bytes of SHA-256 over the masks' bits, each layer padded to a byte."""
    digest = hashlib.sha256()
    for mask in masks:
        digest.update(np.packbits(mask, bitorder="little").tobytes())
    return digest.digest()[:_HASH_BYTES]


class MaskSource(Protocol):
    """Gives the survivors of each layer in blocks."""

    mode: int

    def blocks(self, layer: int) -> Iterator[Block]:
        """Yield the survivors' positions in ascending order; layers must be taken in order."""

    def finish(self) -> None:
        """Raise ``PayloadError`` if the coded mask holds more than the layers needed."""


def open_mask(data: bytes, lengths: Sequence[int], base: BaseLayers | None) -> MaskSource:
    """Open a coded mask of layers of these lengths.

    Raises ``PayloadError`` if the bytes are damaged, or the mode needs a base and there is none.
    """
    reader = ByteReader(data, what="mask")
    mode = reader.byte()
    source: MaskSource
    if mode == LAYERED:
        source = _Layered(reader, lengths)
    elif mode not in (SAME, NESTED, DERIVED_GLOBAL, DERIVED_LOCAL, CHANGED):
        raise PayloadError(f"payload has mask mode {mode}, which this version does not know")
    elif base is None:
        raise PayloadError(f"unknown_base: the mask is {MODE_NAMES[mode]} to a base not given")
    elif mode == SAME:
        source = _Same(reader, base)
    elif mode == NESTED:
        source = _Nested(reader, base)
    elif mode == CHANGED:
        source = _Changed(reader, base)
    else:
        source = _Derived(reader, base, mode)
    return source


class _Layered:
    mode = LAYERED

    def __init__(self, reader: ByteReader, lengths: Sequence[int]) -> None:
        self._reader = reader
        self.positions = PositionReader(reader, lengths)

    def blocks(self, layer: int) -> Iterator[Block]:
        return self.positions.blocks(layer)

    def finish(self) -> None:
        self.positions.finish()
        self._reader.finish()


class _Same:
    mode = SAME

    def __init__(self, reader: ByteReader, base: BaseLayers) -> None:
        reader.finish()
        self._base = base

    def blocks(self, layer: int) -> Iterator[Block]:
        return self._base.survivors(layer)

    def finish(self) -> None:
        pass


class _Nested:
    mode = NESTED

    def __init__(self, reader: ByteReader, base: BaseLayers) -> None:
        self._reader = reader
        self._base = base
        self._held = [int(np.count_nonzero(layer)) for layer in base]
        self._dropped = PositionReader(reader, self._held)

    def blocks(self, layer: int) -> Iterator[Block]:
        kept = np.ones(self._held[layer], bool)
        for dropped in self._dropped.blocks(layer):
            kept[dropped.positions] = False
        seen = 0
        for held in self._base.survivors(layer):
            yield Block.of_positions(held.positions[kept[seen : seen + held.count]])
            seen += held.count

    def finish(self) -> None:
        self._dropped.finish()
        self._reader.finish()


class _Changed:
    mode = CHANGED

    def __init__(self, reader: ByteReader, base: BaseLayers) -> None:
        self._reader = reader
        self._base = base
        held = [int(np.count_nonzero(layer)) for layer in base]
        self._lengths = [
            length
            for count, layer in zip(held, base, strict=True)
            for length in (count, len(layer) - count)
        ]
        self._changes = PositionReader(reader, self._lengths)

    def blocks(self, layer: int) -> Iterator[Block]:
        kept = ~self._changed(2 * layer)
        added = self._changed(2 * layer + 1)
        weights = self._base[layer]
        held = 0
        for start in range(0, len(weights), BLOCK):
            mask = weights[start : start + BLOCK] != 0
            count, zeros = int(np.count_nonzero(mask)), start - held
            now = np.empty(len(mask), bool)
            now[mask] = kept[held : held + count]
            now[~mask] = added[zeros : zeros + len(mask) - count]
            held += count
            yield Block.of_mask(start, now)

    def finish(self) -> None:
        self._changes.finish()
        self._reader.finish()

    def _changed(self, part: int) -> Mask:
        changed = np.zeros(self._lengths[part], bool)
        for block in self._changes.blocks(part):
            changed[block.positions] = True
        return changed


class _Derived:
    def __init__(self, reader: ByteReader, base: Sequence[Layer], mode: int) -> None:
        self.mode = mode
        if mode == DERIVED_GLOBAL:
            keep = reader.varint(limit=sum(map(len, base)))
            self._masks = largest(base, keep=keep)
        else:
            keeps = [reader.varint(limit=len(layer)) for layer in base]
            self._masks = [
                largest([layer], keep=keep)[0] for layer, keep in zip(base, keeps, strict=True)
            ]
        if mask_hash(self._masks) != bytes(reader.take(_HASH_BYTES)):
            raise PayloadError("unknown_base: the mask derived from the base is not the sender's")
        reader.finish()

    def blocks(self, layer: int) -> Iterator[Block]:
        mask = self._masks[layer]
        for start in range(0, len(mask), BLOCK):
            yield Block.of_mask(start, mask[start : start + BLOCK])

    def finish(self) -> None:
        pass
