"""Pruning and regeneration of a generator during a client's training (RG-GAN, paper 003)."""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.core.settings import Amount, Positive, Settings
from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.prune.threshold_masks import ThresholdedNetwork

WEIGHTS = (0.1, 0.1, 0.2, 0.2, 0.4)
"""Of the previous scores, from the oldest to the newest; they are divided by their sum."""


class AugmentedRegeneration:
    """Switches masked networks between sparse and dense, depending on a quality score.

    When the score is worse than the weighted mean of the last n scores, all weights are in use
    again, pruned ones with their old values. At the first later check with a score that is not
    worse, pruning continues with thresholds of 0.

    The paper gives n = 5, but neither the weights nor the end of a dense phase. The weights are
    from the published code, where the current score is the last of the five; here, as in the
    paper's text, the five are the previous ones. The end of a dense phase is that of the published
    code. Restarting thresholds from 0 is this project's choice: old thresholds would restore the
    old mask at once. ``networks`` are generator, critic, both or none; ``weights``, numbers above
    0, belong to the n previous scores, oldest first.
    """

    def __init__(
        self, networks: Sequence[ThresholdedNetwork], *, weights: Sequence[float] = WEIGHTS
    ) -> None:
        if not weights or not all(math.isfinite(w) and w > 0 for w in weights):
            raise ConfigError(f"weights={weights!r} is not allowed: give numbers above 0")
        self._networks = tuple(networks)
        self._weights = tuple(weights)
        self._scores: deque[float] = deque(maxlen=len(self._weights))
        self.dense = False

    @property
    def limit(self) -> float:
        """The weighted mean of the last n scores; infinite while there are fewer."""
        if len(self._scores) < len(self._weights):
            return math.inf
        pairs = zip(self._weights, self._scores, strict=True)
        return sum(weight * score for weight, score in pairs) / sum(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the last scores, oldest first, and the phase; the networks' state is theirs."""
        return {"scores": list(self._scores), "dense": self.dense}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self._scores = deque(state["scores"], maxlen=len(self._weights))
        self.dense = state["dense"]

    def check(self, score: float) -> bool:
        """Add a score (lower is better) and switch; return whether a dense phase follows.

        A score that is not finite counts as worse and is not kept.
        """
        worse = not math.isfinite(score) or score > self.limit
        if math.isfinite(score):
            self._scores.append(score)
        if worse and not self.dense:
            for network in self._networks:
                network.regrow()
        elif self.dense and not worse:
            for network in self._networks:
                network.restart()
        self.dense = worse
        return worse


Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class RegenerationConfig(Settings):
    """Settings of clients' pruning and regeneration, and those of ``ThresholdedNetwork``."""

    group = "regeneration"

    strength: Amount = 1e-3
    pace: Positive = 0.3
    gradients: Literal["masked", "all"] = "masked"
    recurrent: bool = True
    estimate: bool = True
    augmented: bool = True  # a client becomes dense again when its samples get worse
    critic: bool = False  # the client's critic is pruned and regenerated, too


class RegeneratingGenerator:
    """A generator under trained masks, and its client's state between rounds.

    Generator and, if set, ``critic`` are changed in place; their optimisers must be created
    afterwards. The trainer keeps the state of the critic and its masks.
    """

    def __init__(
        self,
        generator: SampleGenerator,
        config: RegenerationConfig,
        critic: nn.Module | None = None,
    ) -> None:
        masked = partial(
            ThresholdedNetwork,
            strength=config.strength,
            gradients=config.gradients,
            recurrent=config.recurrent,
            estimate=config.estimate,
            pace=config.pace,
        )
        self._masks = masked(generator)
        self._critic = masked(critic) if config.critic and critic is not None else None
        self._augmented = config.augmented
        self._regeneration = AugmentedRegeneration([self._masks])

    @property
    def dense(self) -> bool:
        """Whether all weights are in use."""
        return self._masks.dense

    def penalty(self) -> Tensor:
        """Return the regulariser of the thresholds."""
        return self._masks.penalty()

    @property
    def critic_penalty(self) -> Callable[[], Tensor] | None:
        """The regulariser of the critic's thresholds, None if it has no masks.

        It is called before each update of the critic, which then adopts the generator's phase.
        """
        critic = self._critic
        if critic is None:
            return None

        def penalty() -> Tensor:
            if critic.dense != self.dense:
                (critic.regrow if self.dense else critic.restart)()
            return critic.penalty()

        return penalty

    def receive(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Load weights from the server.

        Where they are zero, no client keeps the weight, so the client's own pruned value stays
        under its mask and may return; initially it is the initial value. The client keeps its own
        thresholds. Arrays have the generator's names without masks.
        """
        own = self._masks.arrays(dense=True)
        self._masks.load_arrays({n: np.where(a != 0, a, own[n]) for n, a in arrays.items()})

    def arrays(self) -> Arrays:
        """Return the weights with pruned ones as +0.0; in a dense phase all of them."""
        return self._masks.arrays()

    def check(self, score: float) -> None:
        """Add a score of the samples (lower is better), which switches between sparse and dense."""
        if self._augmented:
            self._regeneration.check(score)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, thresholds, masks, phase and scores, for the next round."""
        return {"masks": self._masks.state_dict(), "scores": self._regeneration.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from the arrays of ``state_dict``."""
        self._masks.load_state_dict(state["masks"])
        self._regeneration.load_state_dict(state["scores"])
