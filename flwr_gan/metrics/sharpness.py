"""Variance of the Laplacian: how sharp images are (paper 004, section 4.3, on blur).

N images, T rows, C columns.
"""

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import DataError


def laplacian_variance(x_NTC: NDArray[np.floating]) -> float:
    """Return the variance of the Laplacian over an image's pixels, averaged over the images.

    The Laplacian is that of the 3 x 3 stencil ``[0 1 0; 1 -4 1; 0 1 0]`` with borders mirrored at
    the outermost pixels, as OpenCV takes it. In squared units of x, which lies in [-1, 1]; times
    127.5 ** 2 for grey levels from 0 to 255. Raises DataError without an image or for one below 2 x
    2 pixels.
    """
    if x_NTC.ndim != 3 or not len(x_NTC) or min(x_NTC.shape[1:]) < 2:
        raise DataError(
            f"images of shape {x_NTC.shape} have no Laplacian: give (N, T, C), T, C > 1"
        )
    x = np.pad(x_NTC.astype(np.float64), ((0, 0), (1, 1), (1, 1)), mode="reflect")
    inner = x[:, 1:-1, 1:-1]
    laplacian_NTC = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4 * inner
    return float(laplacian_NTC.var(axis=(1, 2)).mean())
