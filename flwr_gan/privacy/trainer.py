"""Training with differentially private critic steps.

N samples, R critic iterations, B expected batch, K classes, T vectors, C components.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan import Critic, GanConfig, WganGpTrainer
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.privacy.accounting import PrivacyAccount
from flwr_gan.privacy.batches import draw_poisson_batches, sample_rate
from flwr_gan.privacy.clipping import clipped_sums, closed_form_clipped_sums


class PrivateTrainer(WganGpTrainer):
    """Train as ``WganGpTrainer`` does, with DP-SGD on the critic (Abadi et al., 2016).

    Only the critic sees real samples. Each of its steps draws a Poisson batch, clips the gradient
    of each sample's whole loss, penalty included, adds Gaussian noise to the sum and divides by the
    expected batch size. The generator learns only from the critic, with labels drawn from
    `label_share_K`, so its updates are post-processing; so is everything computed from its weights,
    including a pruning mask. The losses in the log are those of real batches without noise: they
    must stay with the samples. ``batch_size`` of the config is the expected size of a batch,
    ``noise_multiplier`` the standard deviation of the noise divided by ``clip``, the largest norm
    of one sample's gradient; every step is added to ``account`` before it is taken.
    ``label_share_K`` must not be computed from the samples without its own noise. Raises
    ConfigError if batches would be used twice, a network mixes the samples of a batch, or the
    critic's gradients have no closed form and the config asks for it.
    """

    def __init__(
        self,
        generator: SampleGenerator,
        critic: nn.Module,
        *,
        config: GanConfig,
        noise_multiplier: float,
        clip: float,
        account: PrivacyAccount,
        label_share_K: NDArray[np.float64],
        device: str = "cpu",
    ) -> None:
        if not config.fresh_batch:
            raise ConfigError(
                "gan.fresh_batch=false is not for private training: each step draws its own batch"
            )
        for network in (generator, critic):
            if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules()):
                raise ConfigError(
                    f"private training of a {type(network).__name__}: batch normalisation mixes "
                    "the samples of a batch; take layers that treat them apart"
                )
        super().__init__(generator, critic, config=config, device=device)
        closed_form = config.critic_gradients == "closed_form" and type(critic) is Critic
        self._sums = partial(closed_form_clipped_sums if closed_form else clipped_sums, clip=clip)
        self._noise_multiplier = noise_multiplier
        self._clip = clip
        self._account = account
        self._label_share_K = torch.from_numpy(np.asarray(label_share_K, dtype=np.float64))

    def _batches(self, real_NTC: Tensor, y_N: Tensor, rng: torch.Generator) -> Iterator[Batch]:
        rate = sample_rate(len(y_N), self.config.batch_size)
        self._account.spend(self._noise_multiplier, rate, self.config.critic_iterations)
        # a client with fewer samples than B expects all of them in a batch
        self._expected = rate * len(y_N)
        return draw_poisson_batches(real_NTC, y_N, self.generator, self.config, rng)

    def _gradients(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        measures, sums = self._sums(self.critic, batch, self.config.penalty)
        scale = self._noise_multiplier * self._clip
        if scale:
            for total in sums:
                noise = torch.randn(total.shape, generator=rng, device=rng.device)
                total += scale * noise.to(total.device)
        return measures, [total / self._expected for total in sums]

    def _asked_labels(self, y_B: Tensor, rng: torch.Generator) -> Tensor:
        drawn = torch.multinomial(
            self._label_share_K, self.config.batch_size, replacement=True, generator=rng
        )
        return drawn.to(y_B.device)
