"""Quality of generated samples compared with held-out real ones, and the cost of a model.

``MEASURES.md`` in this folder defines each measure on one page.
"""

from flwr_gan.metrics.cost import Macs, count_macs, samples_per_second
from flwr_gan.metrics.features import frechet_distance, precision_recall_density_coverage
from flwr_gan.metrics.judge import SampleJudge
from flwr_gan.metrics.measures import drawing_agreement, inception_score, laplacian_variance, psnr
from flwr_gan.metrics.membership import (
    MembershipAuc,
    attack_generator,
    membership_auc,
    membership_scores,
)
from flwr_gan.metrics.scorecard import score_compressed

__all__ = [
    "Macs",
    "MembershipAuc",
    "SampleJudge",
    "attack_generator",
    "count_macs",
    "drawing_agreement",
    "frechet_distance",
    "inception_score",
    "laplacian_variance",
    "membership_auc",
    "membership_scores",
    "precision_recall_density_coverage",
    "psnr",
    "samples_per_second",
    "score_compressed",
]
