"""Everything that is measured of a compressed generator, as one row; see MEASURES.md.

N samples, T vectors, C components.
"""

import numpy as np
from numpy.typing import NDArray

from flwr_gan.metrics.judge import SampleJudge
from flwr_gan.metrics.macs import LatentGenerator, count_macs
from flwr_gan.metrics.psnr import psnr
from flwr_gan.metrics.sharpness import laplacian_variance
from flwr_gan.metrics.speed import samples_per_second

COLUMNS = (
    "frechet_distance", "precision", "recall", "density", "coverage", "inception_score",
    "conditional_accuracy", "synthetic_accuracy", "psnr_db", "laplacian_variance", "parameters",
    "nonzero", "dense_macs", "sparse_macs", "teacher_macs", "samples_per_s",
    "teacher_samples_per_s", "dense_bytes", "payload_bytes", "compression_ratio",
)  # fmt: skip


def score_compressed(
    generator: LatentGenerator,
    teacher: LatentGenerator,
    *,
    judge: SampleJudge,
    x_NTC: NDArray[np.float32],
    teacher_NTC: NDArray[np.float32],
    y_N: NDArray[np.int64] | None,
    dense_bytes: int,
    payload_bytes: int,
    seed: int,
    images: bool = True,
    repeats: int = 9,
) -> dict[str, float]:
    """Return the row of ``COLUMNS`` for a generator as its receiver decodes it.

    Parameters
    ----------
    generator : LatentGenerator
        What came out of the payload.
    teacher : LatentGenerator
        The generator that was compressed.
    judge : SampleJudge
        Compares with real samples.
    x_NTC, teacher_NTC : ndarray of float32
        Samples of both from the same latent vectors and labels.
    y_N : ndarray of int64 or None
        These labels; None where they do not say what a sample shows, and both accuracies are NaN.
    dense_bytes, payload_bytes : int
        Bytes of the teacher's weights in float32, and of what travelled.
    seed : int
        Seed of what the judge draws.
    images : bool
        Whether a sample is an image; without, the variance of its Laplacian is NaN.
    repeats : int
        Runs that the speed is the median of.

    Raises
    ------
    DataError
        If a sample is not finite, or both generators' samples differ in shape.
    """
    macs, weights = count_macs(generator), list(generator.parameters())
    speed, teacher_speed = samples_per_second((generator, teacher), repeats=repeats)
    return judge.full_score(x_NTC, y_N, seed) | {
        "psnr_db": psnr(x_NTC, teacher_NTC),
        "laplacian_variance": laplacian_variance(x_NTC) if images else float("nan"),
        "parameters": sum(weight.numel() for weight in weights),
        "nonzero": sum(int(weight.count_nonzero()) for weight in weights),
        "dense_macs": macs.dense,
        "sparse_macs": macs.sparse,
        "teacher_macs": count_macs(teacher).dense,
        "samples_per_s": speed,
        "teacher_samples_per_s": teacher_speed,
        "dense_bytes": dense_bytes,
        "payload_bytes": payload_bytes,
        "compression_ratio": dense_bytes / payload_bytes,
    }
