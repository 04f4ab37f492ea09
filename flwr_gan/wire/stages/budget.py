"""Bits chosen layer by layer for a budget of bytes: more bits where the noise falls most.

n weights in all; b bits of a layer's codes, 2 to 8.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.scaling import dequantised, half_a_step, quantised
from flwr_gan.wire.codecs.settings import STEPS, ByKind, Fraction, Whole
from flwr_gan.wire.codecs.sparse.values import Numbers
from flwr_gan.wire.codecs.stage import Coded
from flwr_gan.wire.stages.affine import BITS
from flwr_gan.wire.stages.groups import GroupedStage
from flwr_gan.wire.stages.quantize import QuantizeStage

LARGEST = 127


class _Choice(NamedTuple):
    """A choice: one layer with one number of bits."""

    size: float  # bytes
    noise: float  # sum of squared errors by sum of squared weights
    scale: Array


class BudgetStage(ByKind, GroupedStage):
    """``w = q * s`` as in ``quantize:intB:layer``, with its own B for each layer. Lossy.

    The size of a layer is the entropy of its codes; its scale, masks and headers come on top. Its
    noise is the sum of squared errors divided by the sum of squared weights; the noise of all
    layers adds up to the noise of the output (Lin et al., 2016, "Fixed point quantization of deep
    convolutional networks"). Each layer begins with the fewest bytes. The step with the largest
    fall in noise per byte comes next, along the lower convex hull of each layer (Shoham and Gersho,
    1988, "Efficient bit allocation for an arbitrary set of quantizers"), until a step does not fit:
    no choice of at most the same size has less noise. The budget is a number of ``bytes``, or a
    ``share`` of the float32 size of all weights, pruned ones included.

    The decoder does not need the bits, only the scales. A weight's error is at most s / 2.
    """

    name = "budget"
    wire_id = 17
    granularity = "layer"
    fine = False
    decodes_finite = True
    keeps_sign = True

    amounts: ClassVar[Mapping[str, Whole]] = {
        "bytes": Whole("amount", 1, 10**9 - 1),
        "share": Fraction("amount", fault="is out of range"),
    }
    allowed = (
        "allowed: budget:bytes:N with N from 1 to 999999999, such as budget:bytes:20000, or "
        "budget:share:F, of the weights as float32, with F from 0.0001 to 0.9999, such as "
        "budget:share:0.1"
    )

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.set_codes(-LARGEST, LARGEST)

    def measure(self, values: Array, places: Places) -> Array:
        """Return the scale of a single layer that has the whole budget."""
        return self.measure_all([values], [places])[0]

    def measure_all(self, values: Sequence[Numbers], places: Sequence[Places]) -> list[Array]:
        """Return the scale of each layer.

        Raises ``CodecError`` if a value is NaN or infinite, or the budget below the fewest bits.
        """
        hulls = [_hull(part[:], at) for part, at in zip(values, places, strict=True)]
        most: float = self.amount
        if self.kind == "share":
            most = self.amount / STEPS * sum(4 * math.prod(of_one.shape) for of_one in places)
        chosen = [hull[0] for hull in hulls]
        size = sum(choice.size for choice in chosen)
        if size > most:
            raise CodecError(
                f"{self.spec} allows {most:,.0f} bytes, and the fewest bits take {size:,.0f}: give "
                "more, or prune more"
            )
        steps = sorted(
            (_slope(old, new), layer, at)
            for layer, hull in enumerate(hulls)
            for at, (old, new) in enumerate(pairwise(hull), 1)
        )
        for _, layer, at in steps:
            size += hulls[layer][at].size - chosen[layer].size
            if size > most:
                break
            chosen[layer] = hulls[layer][at]
        return [choice.scale for choice in chosen]

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return ``round(w * (1 / s))`` as int8, ties to even; 0 where s is 0."""
        return quantised(values, side.astype(np.float64), largest=LARGEST)

    def error_bound(self, coded: Coded) -> Array:
        """Return ``s / 2`` for each survivor, with room for one rounding to float32."""
        return half_a_step(coded.codes, self.scales(coded.places, coded.side))


def _hull(values: Array, places: Places) -> list[_Choice]:
    """Return the choices of a layer on the lower convex hull of noise over sizes, small first."""
    hull: list[_Choice] = []
    for choice in sorted(_choices(values, places), key=lambda choice: choice[:2]):
        if hull and choice.noise >= hull[-1].noise:
            continue
        while len(hull) > 1 and _slope(hull[-1], choice) <= _slope(*hull[-2:]):
            hull.pop()
        hull.append(choice)
    return hull


def _choices(values: Array, places: Places) -> Iterator[_Choice]:
    energy = float(np.sum(values.astype(np.float64) ** 2))
    for bits in sorted(BITS):
        stage = QuantizeStage(bits=bits)
        scale = stage.measure(values, places)
        wide = scale.astype(np.float64)
        codes = quantised(values, wide, largest=stage.largest)
        counts = np.bincount(codes.astype(np.int64) + LARGEST)
        counts = counts[counts > 0]
        entropy = float(counts @ np.log2(len(codes) / counts))
        errors = dequantised(codes, wide, None).astype(np.float64) - values
        noise = float(errors @ errors) / (energy or 1.0)
        yield _Choice(entropy / 8, noise, scale)


def _slope(old: _Choice, new: _Choice) -> float:
    """Return the change of noise per additional byte: negative on a hull."""
    return (new.noise - old.noise) / (new.size - old.size)
