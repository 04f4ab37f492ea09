"""The written numbers of the survivors, in full or as differences to a base.

k survivors of a layer, c of them changed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.sparse.bands import write_bands
from flwr_gan.wire.codecs.sparse.floats import (
    ordered_differences,
    unused_bits,
    unzigzag,
)
from flwr_gan.wire.codecs.sparse.parts import Layout, Parts
from flwr_gan.wire.codecs.sparse.positions import write_changes
from flwr_gan.wire.codecs.sparse.sides import write_sides
from flwr_gan.wire.codecs.sparse.support import Support, unequal
from flwr_gan.wire.codecs.sparse.values import (
    BINS,
    BYTES,
    MAGNITUDE_BINS,
    PCODEC,
    Computed,
    Numbers,
    is_continuous,
    write_values,
)
from flwr_gan.wire.codecs.stage import Stage, differences, side_of_each
from flwr_gan.wire.codecs.varint import write_varint

RELATIVE = 0x80
"""Bit of the value coding: values are differences to the base."""

BANDED = 0x40
"""Bit of the value coding: layers are divided into bands."""

CHANGES = 0x20
"""Bit of the value coding: unchanged survivors, which are most, are left out."""

SHIFTED = 0x10
"""Bit of the value coding: the low bits of all floats are zero."""

CODING = 0x0F
"""Bits of the value coding that name the coding of numbers."""

_LEAST_BITS = {MAGNITUDE_BINS: 1 / 8, BYTES: 1 / 8, PCODEC: 0.0, BINS: 1 / 8}
"""Estimated lower bound of the bits per number in a long block."""


_FEW_ARE_SAME = 1 << 10
"""Leave out unchanged survivors only if more than one in this many is unchanged."""


@dataclass(frozen=True)
class Way:
    """One way to write the survivors' numbers: the input of a value coding, layer by layer.

    ``side`` are the stage's side numbers; ``shift`` is the number of low bits that are zero in all
    floats and were left out.
    """

    coding: int
    numbers: Sequence[Numbers]
    side: Pieces = field(default_factory=Pieces)
    shift: int = 0


@dataclass(frozen=True)
class Written:
    """The survivors as they are written.

    With a stage, ``weights`` returns the decoded survivors of each layer, float32.
    """

    data: Pieces
    weights: Callable[[], list[Array]] | None

    def __len__(self) -> int:
        return len(self.data)


def code_coding(stage: Stage) -> int:
    """Return the value coding of a stage's codes."""
    return BYTES if np.dtype(stage.code_dtype).itemsize == 1 else BINS


def write_full(
    parts: Parts, *, stage: Stage | None, pcodec: bool, layout: Layout | None = None
) -> Written:
    """Write the survivors without a base, in the order of the layout if there is one.

    The shortest of several ways is taken.
    """
    if stage is not None:
        ways = [_staged(stage, parts.values, parts.places)]
    else:
        ways = [Way(PCODEC if pcodec else BINS, parts.values)]
        # pcodec looks for grids and common factors; a palette is another way to use them.
        if pcodec and not all(map(is_continuous, filter(len, parts.values))):
            ways.append(Way(BINS, parts.values))
    count = sum(map(len, parts.values))
    if layout is None or not layout.divided:
        return min((_written(way, count) for way in ways), key=len)
    bands = write_bands(layout.bands)
    written = []
    for way in ways:
        numbers = layout.arranged(way.numbers)
        written.append(_written(way, count, flags=BANDED, before=bands, numbers=numbers))
    return min(written, key=len)


def write_differences(
    parts: Parts,
    nears: list[Array],
    *,
    stage: Stage | None,
    pcodec: bool,
    moved: list[Support] | None = None,
) -> Written:
    """Write the differences of the survivors to the receiver's weights in their places.

    Unchanged survivors are left out where that is shorter. ``moved`` may mark the changed ones; the
    others then count as unchanged, and are left out where the stage has no code for them. Raises
    ``CodecError`` if the stage cannot code a difference.
    """
    if stage is not None:
        stage = stage.for_differences()
    pairs = zip(parts.values, nears, strict=True)
    changed = moved or [unequal(*pair, bitwise=stage is None) for pair in pairs]
    count = sum(map(len, nears))
    same = count - sum(one.count for one in changed)
    coding = MAGNITUDE_BINS if stage is None else code_coding(stage)
    if pcodec:
        coding = PCODEC
    written = []
    every = _Chosen(parts.values, nears, parts.places)
    only = moved is not None and stage is not None and not stage.keeps_still
    sets = write_changes(changed) if only or same * _FEW_ARE_SAME > count else Pieces()
    if only or (len(sets) and 8 * len(sets) < same):
        chosen = every.where(changed)
        for way in _ways(chosen, stage, coding, in_full=True):
            some = _written(
                way, count, flags=RELATIVE | CHANGES, before=sets, nears=nears, changed=changed
            )
            written.append(some)
    if not only and (not written or 8 * len(sets) >= _LEAST_BITS[coding] * same):
        every = every if moved is None else every.kept_but(moved)
        for way in _ways(every, stage, coding, in_full=False):
            written.append(_written(way, count, flags=RELATIVE, nears=nears))
    return min(written, key=len)


@dataclass(frozen=True)
class _Chosen:
    """Survivors that are sent: their values, the receiver's values, their places."""

    values: list[Array]
    nears: list[Array]
    places: list[Places]

    def where(self, chosen: Sequence[Support]) -> "_Chosen":
        taken = [support.positions for support in chosen]
        places = zip(self.places, taken, strict=True)
        return _Chosen(
            [part[at] for part, at in zip(self.values, taken, strict=True)],
            [part[at] for part, at in zip(self.nears, taken, strict=True)],
            [Places(_of(of_one, at), of_one.shape) for of_one, at in places],
        )

    def kept_but(self, changed: Sequence[Support]) -> "_Chosen":
        """Return a copy in which unchanged survivors have the receiver's values."""
        values = [near.copy() for near in self.nears]
        for made, part, support in zip(values, self.values, changed, strict=True):
            made[support.positions] = part[support.positions]
        return _Chosen(values, self.nears, self.places)

    def computed(self, compute: Callable[[Array, Array], Array]) -> list[Computed]:
        """Return numbers computed from values and the receiver's values, a part at a time."""

        def of_layer(values: Array, near: Array) -> Computed:
            return Computed(
                len(values), lambda first, last: compute(values[first:last], near[first:last])
            )

        return [of_layer(*pair) for pair in zip(self.values, self.nears, strict=True)]


def _of(places: Places, taken: Array) -> Array:
    """Return a mask of the places with the given indices."""
    whole = places.count == math.prod(places.shape)
    return taken if whole else places.positions[taken]


def _ways(chosen: _Chosen, stage: Stage | None, coding: int, *, in_full: bool) -> Iterator[Way]:
    if stage is not None:
        yield _staged(stage, chosen.computed(differences), chosen.places)
        return
    shift = unused_bits([*chosen.values, *chosen.nears])

    def steps(values: Array, near: Array) -> Array:
        found = ordered_differences(values, near, shift=shift)
        return unzigzag(found).view(np.int32) if coding == PCODEC else found

    yield Way(coding, chosen.computed(steps), shift=shift)
    if in_full:
        yield Way(BINS, chosen.values)


def _staged(stage: Stage, values: Sequence[Numbers], places: list[Places]) -> Way:
    written = stage.measure_all(values, places)
    sides = side_of_each(stage, written, len(places))
    coded = zip(values, places, sides, strict=True)
    codes = [_Codes(stage, *layer) for layer in coded]
    return Way(code_coding(stage), codes, write_sides(stage, written))


class _Codes:
    """The codes of a layer's numbers, computed a part at a time whenever they are read."""

    def __init__(self, stage: Stage, values: Numbers, places: Places, side: Array) -> None:
        self._stage, self._values, self._places, self._side = stage, values, places, side
        self._parts: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, part: slice, /) -> Array:
        first, last, _ = part.indices(len(self))
        self._parts[first] = last
        return self._of(first, last)[0]

    def _of(self, first: int, last: int) -> tuple[Array, Places, Array]:
        """Return the codes of a part, the places of its numbers, and their side numbers."""
        block = self._stage.block_length
        side = self._side[first // block :] if block else self._side
        places = self._places.part(first, last)
        return self._stage.coded(self._values[first:last], places, side), places, side

    def weights(self, near: Array | None) -> Array:
        """Return the decoded codes as float32; all codes must have been computed once."""
        weights = np.empty(len(self), np.float32)
        for first, last in self._parts.items():
            codes, places, side = self._of(first, last)
            held = None if near is None else near[first:last]
            side = side.astype(self._stage.side_dtype, copy=False)
            weights[first:last] = self._stage.from_codes(codes, places, side, held)
        return weights


def _written(
    way: Way,
    count: int,
    *,
    flags: int = 0,
    before: Pieces | bytes = b"",
    numbers: Sequence[Numbers] | None = None,
    nears: Sequence[Array] | None = None,
    changed: Sequence[Support] | None = None,
) -> Written:
    """Return the written numbers of ``count`` survivors, with a function for their decoded values.

    ``flags`` are added to the coding, ``before`` precedes the side numbers; ``numbers`` are those
    of the way in another order. ``nears`` are the receiver's values of the survivors; ``changed``
    marks those with codes, if not all have codes.
    """
    flags |= way.coding
    tag = bytes([flags | SHIFTED, way.shift]) if way.shift else bytes([flags])
    data = Pieces([write_varint(count) + tag, before])
    if changed is None or any(map(len, way.numbers)):
        data += way.side
        data += write_values(numbers or way.numbers, way.coding)
    codes = [one for one in way.numbers if isinstance(one, _Codes)]

    def weights() -> list[Array]:
        if changed is None:
            held: Sequence[Array | None] = nears or [None] * len(codes)
            return [one.weights(near) for one, near in zip(codes, held, strict=True)]
        found = [near.copy() for near in nears or []]
        for one, near, chosen in zip(codes, found, changed, strict=True):
            near[chosen.positions] = one.weights(near[chosen.positions])
        return found

    return Written(data, weights if len(codes) == len(way.numbers) else None)
