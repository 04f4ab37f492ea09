"""Style drift: strokes or pixels under a smooth map that grows from stage to stage.

N samples, T vectors or rows, C components or columns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Within
from flwr_gan.data.dataset import Samples
from flwr_gan.data.drift import Drift, DriftContext

BACKGROUND = -1.0
"""Value of pixels from outside the image."""


@dataclass(frozen=True, kw_only=True)
class StyleDrift(Drift):
    """All samples are rotated and slanted, from nothing in stage 0 to the full map in the last.

    Pen strokes (dx, dy, pen) are mapped vector by vector and clipped to [-1, 1]; images are
    interpolated bilinearly about their centre.
    """

    # rotation in the last stage, counter-clockwise
    degrees: Annotated[float, Within(at_least=-180, at_most=180)] = 30.0
    # shear in the last stage: x moves by this times the height
    slant: Annotated[float, Within(at_least=-2, at_most=2)] = 0.3

    def samples(
        self, samples: Samples, context: DriftContext, *, stage: int, partition: int
    ) -> Samples:
        """Return all samples of the client in the style of a stage; see ``Drift``."""
        return self.styled(samples, context, stage=stage)

    def reference(
        self, clients: Sequence[Samples], test: Samples, context: DriftContext, *, stage: int
    ) -> Samples:
        """Return the held-out samples in the style of a stage."""
        return self.styled(test, context, stage=stage)

    def styled(self, samples: Samples, context: DriftContext, *, stage: int) -> Samples:
        """Return samples in the style of a stage; those of stage 0 as they are."""
        if stage == 0:
            return samples
        matrix = self.matrix(stage)
        if context.kind == "strokes":
            x_NTC = samples.x_NTC.copy()
            x_NTC[..., :2] = np.clip(samples.x_NTC[..., :2] @ matrix.T.astype(np.float32), -1, 1)
        else:
            x_NTC = _resampled(samples.x_NTC, matrix)
        return Samples(x_NTC, samples.y_N, samples.writer_N)

    def matrix(self, stage: int) -> NDArray[np.float64]:
        """Return the map of (x, y), y upwards: slant first, then rotation."""
        amount = stage / (self.stages - 1)
        angle = math.radians(amount * self.degrees)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        slanted = np.array([[1.0, amount * self.slant], [0.0, 1.0]])
        return np.asarray(turn @ slanted)


def _resampled(x_NTC: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return images transformed by the matrix: the value at a point moves to its image point."""
    if x_NTC.ndim == 4:  # channel by channel
        return np.stack([_resampled(x, matrix) for x in np.moveaxis(x_NTC, -1, 0)], axis=-1)
    _, T, C = x_NTC.shape
    row_TC, column_TC = np.mgrid[0:T, 0:C].astype(np.float64)
    right, up = column_TC - (C - 1) / 2, (T - 1) / 2 - row_TC
    source = np.linalg.inv(matrix) @ np.stack([right.ravel(), up.ravel()])
    column = (source[0] + (C - 1) / 2).reshape(T, C)
    row = ((T - 1) / 2 - source[1]).reshape(T, C)
    # One pixel of background on each side supplies all values from outside.
    padded = np.pad(x_NTC, ((0, 0), (1, 1), (1, 1)), constant_values=BACKGROUND)
    row, column = np.clip(row + 1, 0, T + 1), np.clip(column + 1, 0, C + 1)
    top, left = np.minimum(row.astype(int), T), np.minimum(column.astype(int), C)
    down, across = row - top, column - left
    mixed = (
        padded[:, top, left] * ((1 - down) * (1 - across))
        + padded[:, top, left + 1] * ((1 - down) * across)
        + padded[:, top + 1, left] * (down * (1 - across))
        + padded[:, top + 1, left + 1] * (down * across)
    )
    return np.asarray(np.clip(mixed, -1, 1), dtype=np.float32)
