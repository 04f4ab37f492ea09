"""Translators between two styles, trained without pairs: WGAN-GP and the cycle loss.

B batch, N samples, R critic iterations, T vectors, C components, H channels.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name in PyTorch code
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.gan.adam_state import forget_pruned, new_adam
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.critic_gradients import closed_form_gradients, gradients_of
from flwr_gan.gan.losses import generator_loss
from flwr_gan.gan.networks import NEGATIVE_SLOPE, Critic, initialise
from flwr_gan.gan.trainer import take_step
from flwr_gan.gan.training_log import run_steps
from flwr_gan.gan.weights import as_tensor, network_arrays
from flwr_gan.prune.magnitude import prune
from flwr_gan.seeding import derive_seed

DIRECTIONS = ("A to B", "B to A")
LOSSES = ("wasserstein_estimate_B", "wasserstein_estimate_A", "translator_loss")
MIN_KEPT_PER_LAYER = 8


class Translator(nn.Module):
    """Three 1-D convolutions along the vectors; their output is added to the sample."""

    def __init__(self, num_components: int, *, channels: int = 64, seed: int) -> None:
        super().__init__()
        with torch.device("meta"):  # PyTorch's default initialisation uses the global random state
            self.conv1 = nn.Conv1d(num_components, channels, 3, padding=1)
            self.conv2 = nn.Conv1d(channels, channels, 3, padding=1)
            self.conv3 = nn.Conv1d(channels, num_components, 3, padding=1)
        self.to_empty(device="cpu")
        initialise(self, seed)

    def forward(self, x_BTC: Tensor) -> Tensor:
        """Return samples in the other style, in [-1, 1]."""
        h_BHT = F.leaky_relu(self.conv1(x_BTC.transpose(1, 2)), NEGATIVE_SLOPE)
        h_BHT = F.leaky_relu(self.conv2(h_BHT), NEGATIVE_SLOPE)
        change_BTC: Tensor = self.conv3(h_BHT).transpose(1, 2)
        return (x_BTC + change_BTC).clamp(-1, 1)


def cycle_loss(back_BTC: Tensor, x_BTC: Tensor) -> Tensor:
    """Return mean |G_BA(G_AB(x)) - x|, 0-d: the distance of samples to their reconstructions.

    Paper 002, section on distillation, describes it in words: the difference after translation to
    the other domain and back. The mean of absolute values is from Zhu et al. (2017, CycleGAN).
    """
    return (back_BTC - x_BTC).abs().mean()


class Translation:
    """A translator for each direction, a critic of its output, and their optimisers.

    ``cycle_weight`` is lambda. All initial weights derive from ``seed``.
    """

    def __init__(
        self, shape: tuple[int, int], *, config: GanConfig, cycle_weight: float, seed: int
    ) -> None:
        T, C = shape
        self.config, self.cycle_weight = config, cycle_weight
        self.translators = nn.ModuleList(
            Translator(C, seed=derive_seed(seed, f"translator {name}")) for name in DIRECTIONS
        )
        self.critics = [
            Critic(T, C, 1, hidden=config.critic_hidden, seed=derive_seed(seed, f"critic {name}"))
            for name in DIRECTIONS
        ]
        lr, betas = config.generator_lr, config.betas
        self._adam = new_adam(self.translators.parameters(), lr=lr, betas=betas)
        self._critic_adams = [
            new_adam(critic.parameters(), lr=config.critic_lr, betas=betas)
            for critic in self.critics
        ]
        self._pruned: list[Tensor] | None = None
        self._no_label_B = torch.zeros(config.batch_size, dtype=torch.int64)

    def train(
        self,
        a_NTC: NDArray[np.float32],
        b_NTC: NDArray[np.float32],
        *,
        updates: int,
        rng: torch.Generator,
    ) -> None:
        """Update both translators ``updates`` times, each time after R updates of both critics.

        Samples of the two styles are drawn independently, with replacement. Raises TrainingError
        if a loss is not finite.
        """
        real = [as_tensor(a_NTC), as_tensor(b_NTC)]

        def step() -> Tensor:
            estimates = [self._train_critic(direction, real, rng) for direction in (0, 1)]
            loss = self.loss([self._draw(x_NTC, 1, rng) for x_NTC in real])
            weights = list(self.translators.parameters())
            take_step(self._adam, weights, gradients_of(loss, self.translators), self._pruned)
            return torch.stack([*estimates, loss.detach()])

        run_steps(step, updates, names=LOSSES)

    def loss(self, x_BTC: Sequence[Tensor]) -> Tensor:
        """Return the loss of the translators on samples of A and of B, 0-d.

        For each direction: -E[C(G(x))] (paper 000, Eq. 1) plus lambda times the cycle loss.
        """
        total = torch.zeros(())
        for direction, source_BTC in enumerate(x_BTC):
            forth, back = self.translators[direction], self.translators[1 - direction]
            made_BTC = forth(source_BTC)
            total = total + generator_loss(self.critics[direction], made_BTC, self._no_label_B)
            if self.cycle_weight:
                total = total + self.cycle_weight * cycle_loss(back(made_BTC), source_BTC)
        return total

    def prune(self, fraction: float) -> None:
        """Permanently prune this share of the smallest weights of the translator A to B."""
        translator, backward = self.translators
        arrays = network_arrays(translator)
        mask = prune(
            arrays,
            {name: np.ones(array.shape, bool) for name, array in arrays.items()},
            pruned=lambda count: round(fraction * count),
            scope="global",
            min_kept_per_layer=MIN_KEPT_PER_LAYER,
        )
        pruned = {name: as_tensor(~kept) for name, kept in mask.items()}
        with torch.no_grad():
            for name, weight in translator.named_parameters():
                weight.masked_fill_(pruned[name], 0.0)
        forget_pruned(self._adam, translator, pruned)
        whole = [torch.zeros_like(weight, dtype=torch.bool) for weight in backward.parameters()]
        self._pruned = [*pruned.values(), *whole]

    @torch.no_grad()
    def there_and_back(
        self, x_NTC: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return samples of A in style B, and the same translated back to style A."""
        forth, back = self.translators
        made_NTC = forth(as_tensor(x_NTC))
        return made_NTC.numpy(), back(made_NTC).numpy()

    def _train_critic(self, direction: int, real: list[Tensor], rng: torch.Generator) -> Tensor:
        """Update the critic of a direction R times; return the mean Wasserstein estimate."""
        critic, adam = self.critics[direction], self._critic_adams[direction]
        B, R = self.config.batch_size, self.config.critic_iterations
        real_NTC = self._draw(real[1 - direction], R, rng)
        with torch.no_grad():
            fake_NTC = self.translators[direction](self._draw(real[direction], R, rng))
        mix_RB = torch.rand((R, B), generator=rng)
        estimates = []
        for real_BTC, fake_BTC, mix_B in zip(
            torch.split(real_NTC, B), torch.split(fake_NTC, B), mix_RB, strict=True
        ):
            batch = Batch(real_BTC, fake_BTC, self._no_label_B, mix_B)
            measures, gradients = closed_form_gradients(critic, batch, self.config.penalty)
            take_step(adam, list(critic.parameters()), gradients)
            estimates.append(measures[1])
        return torch.stack(estimates).mean()

    def _draw(self, x_NTC: Tensor, batches: int, rng: torch.Generator) -> Tensor:
        count = batches * self.config.batch_size
        return x_NTC[torch.randint(len(x_NTC), (count,), generator=rng)]
