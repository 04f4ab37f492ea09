"""Train, expand, prune: a generator is widened and pruned again during training.

Song et al. as the survey, paper 002, describes it.
"""

from dataclasses import dataclass

import torch

from flwr_gan.core.settings import Count, Share
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.chain import channel_counts, resized, widen
from flwr_gan.methods.channels import draw_latents, kept_counts, merge_similar


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainExpandPrune(Method):
    """Trains a narrow seed network, widens it by new filters, prunes similar channels.

    1. The seed, with new weights, has ``1 - seed_fraction`` of the teacher's channels; it is
       trained against a copy of the GAN's critic, which is used in all phases.
    2. It is widened to the teacher's channels in ``expansions`` equal steps, with training after
       each. New filters are drawn as in a new network, and the next layer starts with zero weights
       for them: the samples stay the same, and the filters learn different features.
    3. Of the two channels with the most similar feature maps one is cut, until a ``fraction`` of
       each hidden layer is gone; the rest of the training is fine-tuning.

    Only the teacher's sizes are used, not its weights.
    """

    fraction: Share = 0.5  # of the teacher's channels that the result lacks
    seed_fraction: Share = 0.5  # of the teacher's channels that the seed network lacks
    expansions: Count = 1  # steps from the seed to the full width
    # shares of the training for the seed and for the widened networks, with a sum below 1;
    # fine-tuning gets the rest
    seed_share: Share = 0.4
    wide_share: Share = 0.3
    absorb: bool = True  # the next layer's weights for a cut channel are added to its nearest's
    samples: Count = 256  # generated for comparing feature maps

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = self.seed_share + self.wide_share < 1
        self.require("wide_share", fits, f"less than 1 - method.seed_share={self.seed_share}")

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the same class with the channels that stay."""
        return resized(generator, kept_counts(channel_counts(generator), self.fraction))

    def widths(self, generator: SampleGenerator) -> list[tuple[int, ...]]:
        """Return the channels of the seed and after each expansion, the teacher's at last."""
        full = channel_counts(generator)
        seed = kept_counts(full, self.seed_fraction)
        return [
            tuple(
                narrow + round((wide - narrow) * step / self.expansions)
                for narrow, wide in zip(seed, full, strict=True)
            )
            for step in range(self.expansions + 1)
        ]

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return a generator with fewer channels; all phases together take ``iterations``."""
        iterations, rng = budget.iterations, budget.rng
        counts = kept_counts(channel_counts(gan.generator), self.fraction)
        seed, *wider = self.widths(gan.generator)
        seed_end = round(iterations * self.seed_share)
        wide_end = round(iterations * (self.seed_share + self.wide_share))
        ends = [
            seed_end + round((wide_end - seed_end) * step / self.expansions)
            for step in range(self.expansions + 1)
        ]
        student = resized(gan.generator, seed, seed=_drawn_seed(rng))
        critic = budget.train(gan, student, iterations=seed_end)
        for channels, start, end in zip(wider, ends[:-1], ends[1:], strict=True):
            student = widen(student, channels, seed=_drawn_seed(rng))
            budget.train(gan, student, iterations=end - start, critic=critic)
        z_BL, y_B = (part.cpu() for part in draw_latents(gan, self.samples, rng))
        student = merge_similar(student, counts, z_BL, y_B, absorb=self.absorb)
        budget.train(gan, student, iterations=iterations - wide_end, critic=critic)
        return student


def _drawn_seed(rng: torch.Generator) -> int:
    return int(torch.randint(2**63 - 1, (1,), generator=rng, device=rng.device))
