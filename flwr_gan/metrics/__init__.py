"""Quality of generated samples against held-out real ones, and the cost of a model."""

from flwr_gan.metrics.cost import GeneratorCost, generator_cost
from flwr_gan.metrics.frechet import frechet_distance
from flwr_gan.metrics.judge import SampleJudge
from flwr_gan.metrics.neighbours import precision_recall_density_coverage

__all__ = [
    "GeneratorCost",
    "SampleJudge",
    "frechet_distance",
    "generator_cost",
    "precision_recall_density_coverage",
]
