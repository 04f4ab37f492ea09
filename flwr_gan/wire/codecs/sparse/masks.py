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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.sparse.largest import largest
from flwr_gan.wire.codecs.sparse.parts import KnownBase
from flwr_gan.wire.codecs.sparse.positions import PositionReader, write_positions
from flwr_gan.wire.codecs.sparse.support import BLOCK, Block, Mask, Support
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

LAYERED, SAME, NESTED, DERIVED_GLOBAL, DERIVED_LOCAL, CHANGED = 0, 1, 2, 3, 4, 5
"""Mask modes on the wire (permanent)."""

MODE_NAMES = ("layered", "same", "nested", "derived", "derived by layer", "changed")

_HASH_BYTES = 8


@dataclass(frozen=True)
class CodedMask:
    """A coded mask, and what its receiver needs of the base."""

    data: bytes

    @property
    def mode(self) -> int:
        """One of the modes on the wire."""
        return self.data[0]

    @property
    def base_need(self) -> Literal["none", "mask", "values"]:
        """What the decoder needs of the base."""
        if self.mode == LAYERED:
            return "none"
        return "values" if self.mode in (DERIVED_GLOBAL, DERIVED_LOCAL) else "mask"


def write_mask(
    supports: Sequence[Support], *, base: KnownBase | None, derive: bool = False
) -> CodedMask:
    """Code a mask in the fewest bytes; the zero pattern of a base may be used.

    With ``derive``, the base's magnitudes must be used: raises ``CodecError`` if the survivors are
    not the largest of them.
    """
    if base is None:
        return _with_positions(LAYERED, supports)
    if derive:
        derived = derived_mask(supports, base)
        if derived is None:
            raise CodecError(
                "base_use='derive': the mask does not hold the largest magnitudes of the base; "
                "use base_use='mask'"
            )
        return derived
    pairs = list(zip(supports, base.supports, strict=True))
    if all(_are_equal(*pair) for pair in pairs):
        return CodedMask(bytes([SAME]))
    changes = [_changes(*pair) for pair in pairs]
    if any(gained.count for _, gained in changes):
        changed = _with_positions(CHANGED, [one for both in changes for one in both])
    else:
        changed = _with_positions(NESTED, [lost for lost, _ in changes])
    layered = _with_positions(LAYERED, supports)
    return layered if len(layered.data) <= len(changed.data) else changed


def _with_positions(mode: int, sets: Sequence[Support]) -> CodedMask:
    return CodedMask(bytes([mode]) + bytes(write_positions(sets)))


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


def derived_mask(supports: Sequence[Support], base: Sequence[Array]) -> CodedMask | None:
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
        return CodedMask(data)
    data = bytes([DERIVED_LOCAL]) + b"".join(map(write_varint, kept)) + digest
    return CodedMask(data)


def mask_hash(masks: Sequence[Mask]) -> bytes:
    """Return the first 8 bytes of SHA-256 over the masks' bits, each layer padded to a byte."""
    digest = hashlib.sha256()
    for mask in masks:
        digest.update(np.packbits(mask, bitorder="little").tobytes())
    return digest.digest()[:_HASH_BYTES]


@dataclass(frozen=True)
class MaskSource:
    """Gives the survivors of each layer in blocks, ascending; layers must be taken in order.

    ``readers`` read the coded mask.
    """

    blocks: Callable[[int], Iterator[Block]]
    readers: Sequence[PositionReader | ByteReader] = ()

    def finish(self) -> None:
        """Raise ``PayloadError`` if the coded mask holds more than the layers needed."""
        for reader in self.readers:
            reader.finish()


def open_mask(data: bytes, lengths: Sequence[int], base: KnownBase | None) -> MaskSource:
    """Open a coded mask of layers of these lengths.

    Raises ``PayloadError`` if the bytes are damaged, or the mode needs a base and there is none.
    """
    reader = ByteReader(data, what="mask")
    mode = reader.byte()
    if mode == LAYERED:
        sets = PositionReader(reader, lengths)
        return MaskSource(sets.blocks, (sets, reader))
    if mode >= len(MODE_NAMES):
        raise PayloadError(f"payload has mask mode {mode}, which this version does not know")
    if base is None:
        raise PayloadError(f"unknown_base: the mask is {MODE_NAMES[mode]} to a base not given")
    if mode in (NESTED, CHANGED):
        return _changed(reader, base, may_gain=mode == CHANGED)
    supports = base.supports if mode == SAME else _derived(reader, base, mode)
    reader.finish()
    return MaskSource(lambda layer: iter([Block.of_support(0, supports[layer])]))


def _changed(reader: ByteReader, base: KnownBase, *, may_gain: bool) -> MaskSource:
    """Open the changes to a base's mask: the survivors lost and, if any may be, those gained."""
    counts = [int(np.count_nonzero(layer)) for layer in base]
    lengths = counts
    if may_gain:
        pairs = zip(counts, base, strict=True)
        lengths = [length for count, layer in pairs for length in (count, len(layer) - count)]
    sets = PositionReader(reader, lengths)

    def marked(part: int) -> Mask:
        mask = np.zeros(lengths[part], bool)
        for block in sets.blocks(part):
            mask[block.positions] = True
        return mask

    def blocks(layer: int) -> Iterator[Block]:
        kept = ~marked(2 * layer if may_gain else layer)
        gained = marked(2 * layer + 1) if may_gain else None
        weights, held = base[layer], 0
        for start in range(0, len(weights), BLOCK):
            old = weights[start : start + BLOCK] != 0
            count, zeros = int(np.count_nonzero(old)), start - held
            now = old.copy()
            now[old] = kept[held : held + count]
            if gained is not None:
                now[~old] = gained[zeros : zeros + len(old) - count]
            held += count
            yield Block.of_support(start, Support.of(now))

    return MaskSource(blocks, (sets, reader))


def _derived(reader: ByteReader, base: KnownBase, mode: int) -> list[Support]:
    """Read how many of the base's largest magnitudes survive; return where they are."""
    if mode == DERIVED_GLOBAL:
        masks = largest(base, keep=reader.varint(limit=sum(map(len, base))))
    else:
        keeps = [reader.varint(limit=len(layer)) for layer in base]
        masks = [largest([layer], keep=keep)[0] for layer, keep in zip(base, keeps, strict=True)]
    if mask_hash(masks) != bytes(reader.take(_HASH_BYTES)):
        raise PayloadError("unknown_base: the mask derived from the base is not the sender's")
    return [Support.of(mask) for mask in masks]
