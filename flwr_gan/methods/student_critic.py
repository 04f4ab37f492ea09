"""A student critic: trained adversarially and by a teacher's critic at once.

B batch, T vectors, C components; Chen et al., 2020, "Distilling portable generative adversarial
networks for image translation" ([34] of the survey).
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan.adam_state import new_adam
from flwr_gan.gan.batches import Batch
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.dcgan import DepthCritic
from flwr_gan.gan.losses import gradient_penalty, wasserstein_estimate
from flwr_gan.gan.networks import Critic
from flwr_gan.methods.distillation import channel_mappings, update
from flwr_gan.methods.distillation_losses import triplet_loss

CRITIC_TERMS = ("adversarial", "features", "triplet")


class StudentCritic:
    """A critic with what trains it: an optimiser, mappings to the teacher's layers, weights.

    Its loss is the weighted sum of

    - ``adversarial``: minus the Wasserstein estimate between real samples and the student
      generator's, with the gradient penalty;
    - ``features``: the mean squared difference of its hidden layers, mapped to the width of the
      teacher's, and those, for real samples and the teacher generator's (the survey's Eq. 6, on
      the critic);
    - ``triplet``: to it a real sample lies nearer to the teacher generator's than to the student
      generator's, by the margin.

    ``critic`` and ``teacher``, the teacher's, have a method ``features``. ``losses`` gives the
    weight of each term; ``critic_lr``, ``betas`` and ``penalty`` come from the config, and ``seed``
    is that of the mappings.
    """

    def __init__(
        self,
        critic: nn.Module,
        teacher: nn.Module,
        *,
        losses: Mapping[str, float],
        config: GanConfig,
        seed: int,
    ) -> None:
        self.critic = critic
        self._teacher = teacher
        self._losses = dict(losses)
        self._penalty = config.penalty
        device = next(critic.parameters()).device
        self.mappings = channel_mappings(_widths(critic), _widths(teacher), seed=seed).to(device)
        self._trained = nn.ModuleList([critic, self.mappings])
        self._adam = new_adam(self._trained.parameters(), lr=config.critic_lr, betas=config.betas)

    def terms(self, batch: Batch, teacher_BTC: Tensor) -> dict[str, Tensor]:
        """Return each term that has a weight, before it is weighted."""
        found = {}
        real_BTC, fake_BTC, y_B, mix_B = batch
        if self._losses.get("adversarial"):
            found["adversarial"] = self._penalty * gradient_penalty(
                self.critic, real_BTC, fake_BTC, y_B, mix_B
            ) - wasserstein_estimate(self.critic, real_BTC, fake_BTC, y_B)
        real, made = self._features(real_BTC, y_B), self._features(teacher_BTC, y_B)
        if self._losses.get("features"):
            found["features"] = self._features_loss(real, real_BTC, y_B) + self._features_loss(
                made, teacher_BTC, y_B
            )
        if self._losses.get("triplet"):
            found["triplet"] = triplet_loss(real, made, self._features(fake_BTC, y_B))
        return found

    def step(self, batch: Batch, teacher_BTC: Tensor) -> Tensor:
        """Update critic and mappings once; return the weighted loss before it."""
        terms = self.terms(batch, teacher_BTC)
        loss = torch.stack([self._losses[name] * term for name, term in terms.items()]).sum()
        update(self._adam, self._trained, loss)
        return loss.detach()

    def _features(self, x_BTC: Tensor, y_B: Tensor) -> Sequence[Tensor]:
        return self.critic.features(x_BTC, y_B)[:-1]  # type: ignore[operator, no-any-return]

    def _features_loss(self, mine: Sequence[Tensor], x_BTC: Tensor, y_B: Tensor) -> Tensor:
        with torch.no_grad():
            theirs = self._teacher.features(x_BTC, y_B)[:-1]  # type: ignore[operator]
        layers = zip(mine, theirs, self.mappings, strict=True)
        return torch.stack(
            [F.mse_loss(mapping(_flat(m)), _flat(t)) for m, t, mapping in layers]
        ).sum()


def narrower_critic(critic: nn.Module, width: float, *, seed: int) -> nn.Module:
    """Return a freshly drawn critic of the same class with a share of the hidden channels.

    One channel stays in any case. Raises ConfigError for another class than ``Critic`` and
    ``DepthCritic``.
    """

    def narrow(count: int) -> int:
        return max(1, round(width * count))

    if isinstance(critic, DepthCritic):
        channels = [narrow(layer.get_parameter("bias").numel()) for layer in critic.layers[:-1]]
        return DepthCritic(channels, num_classes=critic.num_classes, seed=seed)
    if isinstance(critic, Critic):
        num_classes = len(critic.get_buffer("onehot_KK"))
        hidden = [narrow(critic.fc1.out_features), narrow(critic.fc2.out_features)]
        inputs = critic.fc1.in_features - num_classes
        return Critic(inputs, 1, num_classes, hidden=hidden, seed=seed)
    raise ConfigError(
        f"a {type(critic).__name__} cannot be made narrower: give a Critic or a DepthCritic"
    )


def _widths(critic: nn.Module) -> list[int]:
    kinds = (nn.Linear, nn.Conv2d)
    return [len(layer.weight) for layer in critic.modules() if isinstance(layer, kinds)][:-1]


def _flat(layer: Tensor) -> Tensor:
    """Return what a layer gives with shape (B, channels, numbers of a channel)."""
    return layer.flatten(2) if layer.ndim > 2 else layer[:, :, None]
