"""Peak signal-to-noise ratio of a generator's output against its teacher's for the same latents.

N samples, T vectors, C components.
"""

import math

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import DataError

PEAK = 2.0
"""Peak to peak of outputs in [-1, 1]."""


def psnr(x_NTC: NDArray[np.floating], teacher_NTC: NDArray[np.floating]) -> float:
    """Return ``10 log10(PEAK**2 / mean squared difference)`` over all samples together.

    In dB; infinite where nothing differs. Raises DataError if shapes differ, there is no sample, or
    a value is not finite.
    """
    if x_NTC.shape != teacher_NTC.shape or not x_NTC.size:
        raise DataError(
            f"PSNR of shapes {x_NTC.shape} and {teacher_NTC.shape}: "
            "give outputs for the same latents"
        )
    error = float(np.square(x_NTC.astype(np.float64) - teacher_NTC).mean())
    if not math.isfinite(error):
        raise DataError("PSNR of samples that are not finite is undefined")
    return 10 * math.log10(PEAK**2 / error) if error else math.inf
