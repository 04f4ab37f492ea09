"""Symmetric quantisation of differences: a scale for each block of a layer's survivors.

L largest code, s scale, k survivors, B block length.
"""

import math

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.scaling import as_float32, dequantised, half_a_step, quantised
from flwr_gan.wire.codecs.stage import Coded, Stage, finite_extremes

BLOCK_LENGTH = 512
"""B. Heavy-tailed changes (Student's t, 3 degrees of freedom) keep 86 % of their energy at 4 bits,
for 0.3 % of the bytes; with B = 4,096, 68 %; with B = 256, 91 % for a fifth more bytes."""

_KEY_SHIFT = 16
_STEP_BITS = 21
_LARGEST_KEY = 0x7F60


class BlockQuantizeStage(Stage):
    """``d = q * s`` with integer ``q`` from -L to L and one ``s`` per B survivors. Lossy.

    ``quantize:intB:layer`` for differences to a base. Their sizes differ as much as the layers'
    gradients, and their tails are heavier than those of weights. The error is at most
    ``s / 2``. Scales are floats with two bits after the leading one, rounded up: 1, 1.25, 1.5 or
    1.75 times a power of two; a key is the upper half of such a float32. A block of zeros has
    scale 0.
    """

    name = "quantize"
    wire_id = 1
    side_dtype = np.dtype("<u2")
    block_length = BLOCK_LENGTH

    def __init__(self, *, largest: int, spec: str, parameter: int) -> None:
        super().__init__()
        self.spec, self.parameter = spec, parameter
        self.set_largest(largest)

    def set_largest(self, largest: int) -> None:
        """Set L, 1 to 127."""
        self.largest = largest
        self.set_codes(-largest, largest)

    def side_count(self, shape: tuple[int, ...]) -> int:
        """Return the number of blocks of an array of this shape that has no zeros."""
        return -(-math.prod(shape) // BLOCK_LENGTH)

    def check_side(self, side: Array) -> None:
        """Raise ``PayloadError`` if a key has invalid bits or is too large."""
        if len(side) and (side.max() > _LARGEST_KEY or (side & 0x1F).any()):
            raise PayloadError(f"{self.spec}: a block has a scale that is none")

    def measure(self, values: Array, places: Places) -> Array:
        """Return the keys of the scales; scale times L reaches the block's largest magnitude."""
        finite_extremes(values, self.spec)
        missing = -len(values) % BLOCK_LENGTH
        padded = np.append(values, np.zeros(missing, values.dtype)) if missing else values
        peaks = self.reach(padded.reshape(-1, BLOCK_LENGTH))
        scales = as_float32(peaks / self.largest)
        short = scales.astype(np.float64) * self.largest < peaks
        scales[short] = np.nextafter(scales[short], np.float32(np.inf))
        bits = scales.view(np.uint32).astype(np.uint64)
        keys = (bits + ((1 << _STEP_BITS) - 1)) >> _STEP_BITS << (_STEP_BITS - _KEY_SHIFT)
        limited: Array = np.minimum(keys, _LARGEST_KEY).astype(np.uint16)
        return limited

    def reach(self, blocks: Array) -> Array:
        """Return the number for code L in each block, float64: the largest magnitude."""
        reach: Array = np.abs(blocks).max(axis=1, initial=0).astype(np.float64)
        return reach

    def coded(self, values: Array, places: Places, side: Array) -> Array:
        """Return ``round(d * (1 / s))`` as int8, ties to even, limited to L."""
        inside = places.first % BLOCK_LENGTH
        scales = _scales(side)
        return quantised(values, scales, largest=self.largest, block=BLOCK_LENGTH, first=inside)

    def from_codes(
        self,
        codes: Array,
        places: Places,
        side: Array,
        near: Array | None = None,
        out: Array | None = None,
    ) -> Array:
        """Return the float32 weights of these codes, or raise ``PayloadError``."""
        self.check_codes(codes)
        inside = places.first % BLOCK_LENGTH
        return dequantised(codes, _scales(side), near, block=BLOCK_LENGTH, first=inside, out=out)

    def at_once(self, coded: Array, ends: Array, near: Array) -> Array | None:
        """Return the weights by numba's loops; None without numba or for unusual forms."""
        if compiled.kernels() is None:
            return None
        from flwr_gan.wire.codecs.survivor_kernels import block_differences

        weights = np.empty(len(near), np.float32)
        sound = block_differences(coded, ends, BLOCK_LENGTH, self.largest, near, weights)
        return weights if sound else None

    def decoded(self, codes: Array, places: Places, side: Array) -> Array:
        """Return ``q * s`` in double precision."""
        exact: Array = codes * self.scales(places, side)
        return exact

    def scales(self, places: Places, side: Array) -> Array:
        """Return the scale of each place, float64."""
        inside, count = places.first % BLOCK_LENGTH, places.count
        of_each: Array = np.repeat(_scales(side), BLOCK_LENGTH)[inside : inside + count]
        return of_each

    def error_bound(self, coded: Coded) -> Array:
        """Return ``s / 2`` for each survivor, with room for one rounding to float32."""
        return half_a_step(coded.codes, self.scales(coded.places, coded.side))


def _scales(side: Array) -> Array:
    """Return the scales of these keys, float64."""
    return (side.astype(np.uint32) << _KEY_SHIFT).view(np.float32).astype(np.float64)
