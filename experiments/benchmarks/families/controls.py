"""Controls: the same training without compression, and a small generator without a teacher."""

from copy import deepcopy
from dataclasses import dataclass, replace

import torch

from flwr_gan.core.settings import Amount, Share
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods import Budget, Method, TrainedGan
from flwr_gan.methods.chain import channel_counts, resized
from flwr_gan.methods.channels import kept_counts


class FurtherTraining(Method):
    """The same training without compression: the effect of training itself on the quality."""

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return a copy that was trained further."""
        generator = deepcopy(gan.generator)
        budget.train(gan, generator)
        return generator


@dataclass(frozen=True, eq=False, kw_only=True)
class FromScratch(Method):
    """A narrow generator with new weights, trained as a GAN: a student without a teacher."""

    width: Share = 0.5  # share of the channels of each hidden layer, in (0, 1)
    # factor of both learning rates: new weights take larger steps than trained ones
    rate: Amount = 2.0

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a narrower generator."""
        return resized(generator, kept_counts(channel_counts(generator), 1 - self.width))

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return the narrow generator after its training, which does not use the teacher."""
        seed = int(torch.randint(2**31, (), generator=budget.rng))
        channels = kept_counts(channel_counts(gan.generator), 1 - self.width)
        generator = resized(gan.generator, channels, seed=seed)
        rates = self.rate * gan.config.generator_lr, self.rate * gan.config.critic_lr
        config = replace(gan.config, generator_lr=rates[0], critic_lr=rates[1])
        budget.train(replace(gan, config=config), generator)
        return generator
