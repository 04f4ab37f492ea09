"""float32 arrays split into masks and values, and put into the order of the payload."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.sparse.bands import Bands, choose_bands, may_have_bands
from flwr_gan.wire.codecs.sparse.support import (
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
        self, base: "KnownBase", nears: Sequence[Array], moving: Sequence[Positions]
    ) -> list[Support]:
        """Return which survivors differ from the base if only some places may change.

        ``nears`` are the base's values at the survivors; ``moving`` has for each layer the places
        of the base's survivors that may change. Weights that the base has pruned always may.
        """
        found = []
        for layer, (support, at) in enumerate(zip(self.supports, moving, strict=True)):
            old = base.supports[layer]
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


class KnownBase(list[Array]):
    """The float32 arrays of a base, flat and little-endian; those of other types are left out.

    They are split into mask and values only once.
    """

    def __init__(self, base: Iterable[Array]) -> None:
        super().__init__(flat_layer(array) for array in base if is_weight(array.dtype))

    @cached_property
    def supports(self) -> list[Support]:
        """Where the survivors of each array are."""
        return [Support.of(layer != 0) for layer in self]

    @cached_property
    def ends(self) -> Array:
        """Where the survivors of each array end among the survivors of all, int64."""
        return np.cumsum([support.count for support in self.supports], dtype=np.int64)

    @cached_property
    def survivors(self) -> Array:
        """The values of the survivors of all arrays, one after the other."""
        pairs = zip(self, self.supports, strict=True)
        parts = [support.of_layer(layer) for layer, support in pairs]
        return np.concatenate(parts) if parts else np.empty(0, FLOAT32)


def base_layers(base: Sequence[Array]) -> KnownBase:
    """Return the float32 arrays of a base, flat and little-endian."""
    return base if isinstance(base, KnownBase) else KnownBase(base)


def flat_layer(array: Array) -> Array:
    """Return a float32 array flat and little-endian."""
    return np.ascontiguousarray(array).reshape(-1).astype(FLOAT32, copy=False)
