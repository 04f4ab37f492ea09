"""Augmented regeneration: dense again when quality falls (paper 003, Methodology)."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from flwr_gan.errors import ConfigError
from flwr_gan.prune.threshold_masks import ThresholdedNetwork

WEIGHTS = (0.1, 0.1, 0.2, 0.2, 0.4)
"""Of the previous scores, from the oldest to the newest; they are divided by their sum."""


class AugmentedRegeneration:
    """Switches masked networks between sparse and dense by the course of a quality score.

    When the score is worse than the weighted mean of the last n, all weights are in use again, the
    pruned ones with their old values. At the first later check whose score is not worse, pruning
    goes on with thresholds of 0.

    The paper gives n = 5 and neither the weights nor the end of a dense phase. The weights are the
    numbers of the published code, which counts the current score as the last of the five; here, as
    in the paper's text, the five are the previous ones. The end of a dense phase is that of the
    published code. That it starts the thresholds anew is this project's choice: old ones would
    bring the old mask back at once. ``networks`` are generator, critic, both or none; ``weights``,
    numbers above 0, belong to the n previous scores, oldest first.
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
        """Take over what ``state_dict`` gave."""
        self._scores = deque(state["scores"], maxlen=len(self._weights))
        self.dense = state["dense"]

    def check(self, score: float) -> bool:
        """Take a score, lower is better, and switch; return whether a dense phase follows.

        A score, such as a Frechet distance, that is not finite counts as worse and is not kept.
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
