"""A generator that is pruned and regenerated while a client trains it (RG-GAN in a federation)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from flwr_gan.core.settings import Amount, Positive, Settings
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.prune.regeneration import AugmentedRegeneration
from flwr_gan.prune.threshold_masks import ThresholdedNetwork

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class RegenerationConfig(Settings):
    """How clients prune and regenerate; the settings are those of ``ThresholdedNetwork``."""

    group = "regeneration"

    strength: Amount = 1e-3
    pace: Positive = 0.3
    gradients: Literal["masked", "all"] = "masked"
    recurrent: bool = True
    estimate: bool = True
    augmented: bool = True  # a client goes dense again when its samples get worse


class RegeneratingGenerator:
    """A generator under trained masks, and what its client keeps of it between rounds.

    The generator is changed in place; its optimiser has to be made afterwards.
    """

    def __init__(self, generator: SampleGenerator, config: RegenerationConfig) -> None:
        self._masks = ThresholdedNetwork(
            generator,
            strength=config.strength,
            gradients=config.gradients,
            recurrent=config.recurrent,
            estimate=config.estimate,
            pace=config.pace,
        )
        self._augmented = config.augmented
        self._regeneration = AugmentedRegeneration([self._masks])

    @property
    def dense(self) -> bool:
        """Whether all weights are in use."""
        return self._masks.dense

    def penalty(self) -> Tensor:
        """Return the regulariser of the thresholds."""
        return self._masks.penalty()

    def receive(self, arrays: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights that came from the server.

        Where they are zero nobody keeps the weight, so the client's own pruned value stays behind
        its mask, ready to return; at first that is its initial value. The thresholds stay the
        client's own. Arrays have the names that the generator has without masks.
        """
        own = self._masks.arrays(dense=True)
        self._masks.load_arrays({n: np.where(a != 0, a, own[n]) for n, a in arrays.items()})

    def arrays(self) -> Arrays:
        """Return the weights with pruned ones as +0.0; in a dense phase all of them."""
        return self._masks.arrays()

    def check(self, score: float) -> None:
        """Take a score of the samples, lower is better; switch between sparse and dense by it."""
        if self._augmented:
            self._regeneration.check(score)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, thresholds, masks, phase and scores, for the next round."""
        return {"masks": self._masks.state_dict(), "scores": self._regeneration.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, as arrays."""
        self._masks.load_state_dict(state["masks"])
        self._regeneration.load_state_dict(state["scores"])
