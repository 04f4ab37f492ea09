"""float32 arrays split into masks and values, and put into the order of the payload."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.sparse.bands import Bands, choose_bands, may_have_bands
from flwr_gan.wire.codecs.sparse.support import (
    BLOCK,
    Block,
    Positions,
    Support,
    taken_apart,
)
from flwr_gan.wire.codecs.sparse.values import Numbers

FLOAT32 = np.dtype("<f4")


@dataclass(frozen=True)
class Layout:
    """The order of coding: layers, or the bands of divided layers.

    ``supports`` are the survivors of each layer or band; ``orders`` list for each layer the
    survivors of each of its bands, and are empty for an undivided layer.
    """

    bands: list[Bands | None]
    supports: list[Support]
    orders: list[list[Positions]]

    @property
    def divided(self) -> bool:
        """True if any layer has bands."""
        return any(bands is not None for bands in self.bands)

    def arranged(self, numbers: Sequence[Numbers]) -> list[Numbers]:
        """Return each layer's numbers, one per survivor, divided by layer or band."""
        sections: list[Numbers] = []
        for part, orders in zip(numbers, self.orders, strict=True):
            sections += [part[:][chosen] for chosen in orders] if orders else [part]
        return sections


class Parts:
    """float32 arrays of any byte order, split into the survivors' places and values.

    With ``strict``, -0.0 survives like any other value; otherwise it is pruned.
    """

    def __init__(self, arrays: Sequence[Array], *, strict: bool) -> None:
        self.shapes = [array.shape for array in arrays]
        pairs = [taken_apart(flat_layer(array), strict=strict) for array in arrays]
        self.supports = [support for support, _ in pairs]
        self.values = [values for _, values in pairs]

    @cached_property
    def places(self) -> list[Places]:
        """Places of the survivors of each layer."""
        pairs = zip(self.supports, self.shapes, strict=True)
        return [Places(support, shape) for support, shape in pairs]

    def at_survivors(self, layers: Sequence[Array]) -> list[Array]:
        """Return the values of other layers of the same shapes at the survivors' positions."""
        pairs = zip(layers, self.supports, strict=True)
        return [support.of_layer(layer) for layer, support in pairs]

    def moved(
        self, base: "BaseLayers", nears: Sequence[Array], moving: Sequence[Positions]
    ) -> list[Support]:
        """Return which survivors differ from the base if only some places may change.

        ``nears`` are the base's values at the survivors; ``moving`` has for each layer the places
        of the base's survivors that may change. Weights that the base has pruned always may.
        """
        found = []
        for layer, (support, at) in enumerate(zip(self.supports, moving, strict=True)):
            old = base.support(layer)
            if old.bits is not None:
                new = Support.of_bits(support.length, support.packed & ~old.bits).positions
                at = np.sort(np.concatenate([at, new]))
            ranks = support.rank(at)
            differ = self.values[layer][ranks] != nears[layer][ranks]
            found.append(Support.at(support.count, ranks[differ]))
        return found

    def layout(self, *, bits_each: float, values_gain: bool) -> Layout:
        """Divide the layers into bands where that saves bytes; see ``choose_bands``."""
        bands: list[Bands | None] = []
        supports: list[Support] = []
        orders: list[list[Positions]] = []
        divide = may_have_bands(self.supports)
        for values, support, shape in zip(self.values, self.supports, self.shapes, strict=True):
            chosen = None
            if divide:
                positions = support.positions
                chosen = choose_bands(
                    values, positions, shape, bits_each=bits_each, values_gain=values_gain
                )
            bands.append(chosen)
            if chosen is None:
                orders.append([])
                supports.append(support)
            else:
                of_band, in_band = chosen.supports(support)
                orders.append(of_band)
                supports += in_band
        return Layout(bands, supports, orders)


def is_weight(dtype: np.dtype[Any]) -> bool:
    """Return True for float32 of either byte order, the type with a mask."""
    return dtype is FLOAT32 or dtype.newbyteorder("<") == FLOAT32


class BaseLayers(list[Array]):
    """The float32 arrays of a base, flat and little-endian; those of other types are left out.

    With ``remember``, the survivors' positions are kept after the first search.
    """

    def __init__(self, base: Sequence[Array], *, remember: bool = False) -> None:
        super().__init__(flat_layer(array) for array in base if is_weight(array.dtype))
        self._supports: list[Support | None] | None = [None] * len(self) if remember else None

    def survivors(self, layer: int) -> Iterator[Block]:
        """Yield the places of nonzero weights, ascending, in blocks."""
        weights = self[layer]
        if self._supports is None:
            for start in range(0, len(weights), BLOCK):
                yield Block.of_mask(start, weights[start : start + BLOCK] != 0)
        else:
            known = self.support(layer)
            yield Block(0, known.length, known.count, known.bits)

    def support(self, layer: int) -> Support:
        """Return all of these places."""
        known = None if self._supports is None else self._supports[layer]
        if known is None:
            known = Support.of(self[layer] != 0)
            if self._supports is not None:
                self._supports[layer] = known
        return known


class KnownBase(tuple[Array, ...]):
    """A base for many payloads: it is split into mask and values only once."""

    @cached_property
    def layers(self) -> BaseLayers:
        """The float32 arrays, which remember their survivors."""
        return BaseLayers(self, remember=True)

    @cached_property
    def supports(self) -> list[Support]:
        """Where the survivors of each float32 array are."""
        return [self.layers.support(layer) for layer in range(len(self.layers))]

    @cached_property
    def ends(self) -> list[int]:
        """Where the survivors of each float32 array end among the survivors of all."""
        return list(accumulate(support.count for support in self.supports))

    @cached_property
    def end_array(self) -> Array:
        """``ends`` as int64."""
        return np.array(self.ends, np.int64)

    @cached_property
    def places(self) -> list[Places]:
        """Where the survivors of each float32 array are, without what they are."""
        shapes = [array.shape for array in self if is_weight(array.dtype)]
        return [Places(*pair) for pair in zip(self.supports, shapes, strict=True)]

    @cached_property
    def survivors(self) -> Array:
        """The values of the survivors of all float32 arrays, one after the other."""
        pairs = zip(self.layers, self.supports, strict=True)
        parts = [support.of_layer(layer) for layer, support in pairs]
        return np.concatenate(parts) if parts else np.empty(0, FLOAT32)


def base_layers(base: Sequence[Array]) -> BaseLayers:
    """Return the float32 arrays of a base, flat and little-endian."""
    return base.layers if isinstance(base, KnownBase) else BaseLayers(base)


def flat_layer(array: Array) -> Array:
    """Return a float32 array flat and little-endian."""
    return np.ascontiguousarray(array).reshape(-1).astype(FLOAT32, copy=False)
