"""All measures of a compressed generator, as one row; see MEASURES.md.

N samples, T vectors, C components.
"""

import numpy as np
from numpy.typing import NDArray

from flwr_gan.data.drawing import rasterised
from flwr_gan.metrics.cost import LatentGenerator, count_macs, samples_per_second
from flwr_gan.metrics.judge import SampleJudge
from flwr_gan.metrics.measures import drawing_agreement, laplacian_variance, psnr

COLUMNS = (
    "frechet_distance", "precision", "recall", "density", "coverage", "inception_score",
    "conditional_accuracy", "synthetic_accuracy", "psnr_db", "pixel_accuracy", "iou",
    "laplacian_variance", "parameters",
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

    ``x_NTC`` and ``teacher_NTC`` are samples of both from the same latent vectors and labels.
    ``y_N`` is None if labels do not determine a sample's class; then both accuracies are NaN. The
    variance of the Laplacian is NaN without ``images``, for strokes. Pixel accuracy and IoU use the
    teacher's drawings as ground truth. ``dense_bytes`` are those of the teacher's float32 weights,
    ``payload_bytes`` those sent. The speed is the median of ``repeats`` runs.
    """
    drawings = x_NTC, teacher_NTC
    if not images:
        drawings = rasterised(x_NTC), rasterised(teacher_NTC)
    pixel_accuracy, iou = drawing_agreement(*drawings)
    macs, weights = count_macs(generator), list(generator.parameters())
    speed, teacher_speed = samples_per_second((generator, teacher), repeats=repeats)
    return judge.full_score(x_NTC, y_N, seed) | {
        "psnr_db": psnr(x_NTC, teacher_NTC),
        "pixel_accuracy": pixel_accuracy,
        "iou": iou,
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
