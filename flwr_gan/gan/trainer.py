"""Training of a conditional WGAN-GP (paper 000, Alg. 1), also under a pruning mask.

N samples, B batch, R critic iterations, L latent, T vectors, C components.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.core.settings import Count, checked
from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.gan.adam_state import adam_tensors, forget, forget_pruned, new_adam
from flwr_gan.gan.augment import Augmentation, ImageAugmentation
from flwr_gan.gan.batches import Batch, check_data, draw_batches, generate
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.critic_gradients import (
    closed_form_gradients,
    gradients_for,
    gradients_of,
    has_closed_form,
)
from flwr_gan.gan.losses import generator_loss, proximal_term
from flwr_gan.gan.networks import Critic, SampleGenerator
from flwr_gan.gan.sparse_layers import sparse_layers
from flwr_gan.gan.training_log import LOSSES as LOG_LOSSES
from flwr_gan.gan.training_log import LOWER_RATES, TrainLog, run_steps
from flwr_gan.gan.weights import (
    as_tensor,
    check_arrays,
    load_network_arrays,
    network_arrays,
    restore,
)

Regulariser = Callable[[], Tensor]


class WganGpTrainer:
    """Trains a generator against a critic; owns the critic and the state of both optimisers.

    The trainer holds no random state: all random numbers come from the ``rng`` argument. Two calls
    of ``train`` with n1 and n2 iterations and one ``rng`` equal one call with n1 + n2, bit for bit.

    Both networks are trained in place; the generator's weights may be replaced between two calls of
    ``train``. ``augment``, by default as in the config, changes real and generated samples before
    the critic sees them, and the generator learns through it. Regularisers return a 0-d tensor that
    is added to the loss of their network before each of its updates; the log omits the critic's.
    Raises ConfigError if the critic's gradients have no closed form and the config asks for it.
    """

    def __init__(
        self,
        generator: SampleGenerator,
        critic: nn.Module,
        *,
        config: GanConfig,
        device: str = "cpu",
        augment: Augmentation | None = None,
        generator_regulariser: Regulariser | None = None,
        critic_regulariser: Regulariser | None = None,
    ) -> None:
        closed_form = config.critic_gradients == "closed_form"
        if closed_form and not has_closed_form(critic):
            masked = " with masked or normalised weights" if type(critic) is Critic else ""
            raise ConfigError(
                f"gan.critic_gradients=closed_form is not for a {type(critic).__name__}{masked}: "
                "give autograd"
            )
        self.generator = generator.to(device)
        self.critic = critic.to(device)
        self.config = config
        self._device = torch.device(device)
        self._first_critic = network_arrays(critic)
        betas = config.betas
        self._generator_adam = new_adam(
            self.generator.parameters(), lr=config.generator_lr, betas=betas
        )
        self._critic_adam = new_adam(self.critic.parameters(), lr=config.critic_lr, betas=betas)
        self._critic_gradients = gradients_for(config)
        if augment is None and config.augment:
            augment = ImageAugmentation(policies=config.augment)
        self._augment = augment
        self._generator_regulariser = generator_regulariser
        self._critic_regulariser = critic_regulariser

    def train(
        self,
        x_NTC: NDArray[np.float32],
        y_N: NDArray[np.int64],
        *,
        iterations: int | None = None,
        rng: torch.Generator,
        mask: Mapping[str, NDArray[np.bool_]] | None = None,
        anchor: Mapping[str, NDArray[np.float32]] | None = None,
        proximal_mu: float = 0.0,
        progress: str | None = None,
    ) -> TrainLog:
        """Train for some generator iterations, each after R critic iterations.

        The generator's labels are those of the loaded batch, so they follow the distribution of
        ``y_N``. Samples are in [-1, 1]; batches are drawn with replacement.
        ``iterations`` defaults to that of the config.

        Where ``mask`` (True: kept) prunes a weight, it is +0.0 after
        every step and so are its moments in Adam. mu/2 times the squared distance of the surviving
        generator weights to ``anchor``, by default those before this call, is added to the
        generator's loss (FedProx). ``progress`` labels a progress bar, drawn only on a terminal.

        Raises ConfigError if ``iterations`` is below 1, DataError if there are no samples, one is
        not finite, or shapes, labels, mask or anchor do not fit the networks, TrainingError, which
        names it and the iteration, if a loss or a generator weight is not finite.
        """
        iterations = self.config.iterations if iterations is None else iterations
        checked("iterations", iterations, Count)
        real_NTC, label_N = check_data(x_NTC, y_N, self.generator)
        pruned = self.apply_mask(mask) if mask is not None else None
        anchors = self.anchors(anchor, mask) if proximal_mu else []

        def step() -> Tensor:
            losses = []
            for batch in self._batches(real_NTC, label_N, rng):
                losses.append(self._critic_step(self._augmented(batch, rng), rng))
            asked_B = self._asked_labels(batch.y_B, rng)
            loss = self._generator_step(asked_B, rng, pruned, anchors, proximal_mu)
            return torch.cat([torch.stack(losses).mean(dim=0), loss.view(1)])

        begun = time.perf_counter()
        with sparse_layers(self.generator, pruned or {}):
            found = run_steps(step, iterations, names=LOG_LOSSES, progress=progress)
        check_weights(self.generator.named_parameters(), iterations)
        return TrainLog.of(found, time.perf_counter() - begun)

    @property
    def optimisers(self) -> tuple[torch.optim.Adam, torch.optim.Adam]:
        """Adam of the generator and Adam of the critic."""
        return self._generator_adam, self._critic_adam

    @property
    def is_plain(self) -> bool:
        """Whether the critic's gradients are in closed form and nothing is added to the losses."""
        further = (self._augment, self._generator_regulariser, self._critic_regulariser)
        clips = self.config.weight_clipping is not None
        return self._critic_gradients is closed_form_gradients and not any(further) and not clips

    def restart(self) -> None:
        """Restore the critic's initial weights and reset both optimisers (Alg. 2, line 11).

        The generator's weights are unchanged: the pruner rewinds them.
        """
        load_network_arrays(self.critic, self._first_critic)
        for adam in self.optimisers:
            forget(adam)

    def state_dict(self) -> dict[str, Any]:
        """Return the tensors of the critic and of both optimisers, without the generator."""
        return {
            "critic": self.critic.state_dict(),
            "critic_adam": adam_tensors(self._critic_adam, self.critic),
            "generator_adam": adam_tensors(self._generator_adam, self.generator),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from the arrays of ``state_dict``, bit for bit.

        Raises DataError, and changes nothing, if a name is missing or unknown or a shape differs.
        """
        restore(self.state_dict(), state)

    def _batches(self, real_NTC: Tensor, y_N: Tensor, rng: torch.Generator) -> Iterator[Batch]:
        """Return the batches of the critic steps of one generator iteration."""
        return draw_batches(real_NTC, y_N, self.generator, self.config, rng)

    def _gradients(self, batch: Batch, rng: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """Return the critic's measures and gradients; private training draws noise from `rng`."""
        return self._critic_gradients(self.critic, batch, self.config.penalty)

    def _asked_labels(self, y_B: Tensor, rng: torch.Generator) -> Tensor:
        """Return the labels for the generator's step, from those of the last batch."""
        return y_B

    def _critic_step(self, batch: Batch, rng: torch.Generator) -> Tensor:
        """Update the critic once (Eq. 2); return its loss, Wasserstein estimate and penalty."""
        measures, gradients = self._gradients(batch, rng)
        if self._critic_regulariser:
            further = gradients_of(self._critic_regulariser(), self.critic)
            gradients = [a + b for a, b in zip(gradients, further, strict=True)]
        take_step(self._critic_adam, list(self.critic.parameters()), gradients)
        if (limit := self.config.weight_clipping) is not None:
            with torch.no_grad():
                for weight in self.critic.parameters():
                    weight.clamp_(-limit, limit)
        return measures

    def _generator_step(
        self,
        y_B: Tensor,
        rng: torch.Generator,
        pruned: dict[str, Tensor] | None,
        anchors: list[Tensor],
        mu: float,
    ) -> Tensor:
        """Update the surviving generator weights once (Eq. 1); return the loss."""
        weights = list(self.generator.parameters())
        fake_BTC = generate(self.generator, y_B, rng)
        if self._augment:
            fake_BTC = self._augment(fake_BTC, rng)
        original = self.config.loss == "original"
        loss = generator_loss(self.critic, fake_BTC, y_B, original=original)
        if self._generator_regulariser:
            loss = loss + self._generator_regulariser()
        if mu:
            loss = loss + proximal_term(weights, anchors, mu)
        gradients = gradients_of(loss, self.generator)
        take_step(
            self._generator_adam, weights, gradients, list(pruned.values()) if pruned else None
        )
        return loss.detach()

    def _augmented(self, batch: Batch, rng: torch.Generator) -> Batch:
        if self._augment is None:
            return batch
        real_BTC = self._augment(batch.real_BTC, rng)
        return batch._replace(real_BTC=real_BTC, fake_BTC=self._augment(batch.fake_BTC, rng))

    def apply_mask(self, mask: Mapping[str, NDArray[np.bool_]]) -> dict[str, Tensor]:
        """Prune the generator and its optimiser; return where a weight is pruned."""
        weights = dict(self.generator.named_parameters())
        check_arrays(mask, {name: tuple(weight.shape) for name, weight in weights.items()})
        pruned = {name: ~as_tensor(mask[name]).bool().to(self._device) for name in weights}
        with torch.no_grad():
            for name, weight in weights.items():
                weight.masked_fill_(pruned[name], 0.0)
        forget_pruned(self._generator_adam, self.generator, pruned)
        return pruned

    def anchors(
        self,
        anchor: Mapping[str, NDArray[np.float32]] | None,
        mask: Mapping[str, NDArray[np.bool_]] | None,
    ) -> list[Tensor]:
        """Return the centre of the proximal term: ``anchor`` under the mask, or the weights."""
        weights = dict(self.generator.named_parameters())
        if anchor is None:
            return [weight.detach().clone() for weight in weights.values()]
        check_arrays(anchor, {name: tuple(weight.shape) for name, weight in weights.items()})
        kept = {n: np.where(mask[n], anchor[n], 0.0) if mask else anchor[n] for n in weights}
        return [as_tensor(a.astype(np.float32)).to(self._device) for a in kept.values()]


def check_weights(
    named: Iterable[tuple[str, Tensor]], iterations: int, *, remedy: str = LOWER_RATES
) -> None:
    """Raise a TrainingError that names the first weight of a generator that is not finite."""
    for name, weight in named:
        if not bool(weight.isfinite().all()):
            raise TrainingError(
                f"generator weight {name} is not finite after iteration {iterations}: {remedy}"
            )


def take_step(
    adam: torch.optim.Adam,
    weights: list[nn.Parameter],
    gradients: Sequence[Tensor],
    pruned: list[Tensor] | None = None,
) -> None:
    """Take one step of Adam; pruned weights get a gradient of exactly zero and do not move."""
    for i, weight in enumerate(weights):
        gradient = gradients[i].contiguous()  # fused Adam reads memory in order
        weight.grad = gradient if pruned is None else gradient.masked_fill_(pruned[i], 0.0)
    adam.step()
