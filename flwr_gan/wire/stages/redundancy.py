"""Binary weights only for layers of high redundancy, which tolerate it.

c channels, h height and w width of a layer's input. The survey of GAN compression, on ApGAN: a
layer with negative redundancy ``c - h w`` is sensitive to quantisation and is left unchanged; the
others become the sign of each weight times the average weight.
"""

import math
from collections.abc import Sequence

import numpy as np

from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.settings import OneOf, Whole
from flwr_gan.wire.stages.array_stage import KeepingStage, Shape
from flwr_gan.wire.stages.ternary import BinaryStage

LAYOUTS = ("conv", "transposed")
"""Names; a name's index is its wire number (permanent)."""
LARGEST_AREA = 1 << 20
LEAST_AXES = 2


class RedundancyStage(KeepingStage):
    """Layers with ``c - h w >= 0`` become s or -s, s the mean magnitude of their weights. Lossy.

    All other arrays stay float32, as in the survey. A later coding stage may shorten them, and it
    decodes the two values of a binary layer exactly: with ``quantize:int8:layer`` and ``sparse`` a
    weight takes one and a half bits. Zeros stay zero. The squared norm of a binary layer's errors
    is its sum of ``w**2`` minus ``k s**2`` for k survivors.

    An array shows its channels, but not the size of the layer's input. So one N stands for ``h w``
    of all convolutions (three axes or more): this is exact if the size is the same in all layers.
    If channels fall as the size grows, an N between the channels of the last redundant layer and of
    the next divides the layers as the measure does. A fully connected layer (two axes) has an input
    of 1 x 1. Arrays of fewer axes are no layers. These three rules, and the mean over survivors,
    are this project's choice.
    """

    name = "redundancy"
    wire_id = 9

    settings = (Whole("area", 1, LARGEST_AREA), OneOf("layout", LAYOUTS, LAYOUTS[0]))
    allowed = (
        f"allowed: redundancy:N[:LAYOUT] with N, height times width, from 1 to {LARGEST_AREA} and "
        "LAYOUT conv or transposed, such as redundancy:64:conv"
    )
    area: int
    layout: str

    def is_redundant(self, shape: Shape) -> bool:
        """Return True for a layer whose weights become binary."""
        if len(shape) <= LEAST_AXES:
            return len(shape) == LEAST_AXES and shape[1] >= 1
        return shape[1 - LAYOUTS.index(self.layout)] >= self.area

    def changed(self, arrays: Sequence[Array], held: Sequence[Array] | None) -> list[Array]:
        """Return the arrays, redundant layers binary."""
        stage = BinaryStage()
        return [
            stage.decode(stage.encode(array)[0]) if self.is_redundant(array.shape) else array
            for array in arrays
        ]

    def error_bound(self, arrays: Sequence[Array]) -> float:
        """Return the norm of the errors of all binary layers."""
        squares = 0.0
        for array in arrays:
            if self.is_redundant(array.shape):
                sizes = np.abs(array.astype(np.float64))
                gain = float(sizes.sum()) ** 2 / max(int(np.count_nonzero(sizes)), 1)
                squares += max(float(np.sum(sizes**2)) - gain, 0.0)
        return math.sqrt(squares)
