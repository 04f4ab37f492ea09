"""Iterative pruning: its settings, and the state of one search for a ticket (paper 000, Alg. 2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Natural, Settings, Share
from flwr_gan.errors import DataError
from flwr_gan.prune.magnitude import Mask, prunable, prune
from flwr_gan.prune.schedule import pruned_count

Scope = Literal["global", "local"]


@dataclass(frozen=True, kw_only=True)
class LotteryConfig(Settings):
    """Settings for pruning a generator to a ticket."""

    group = "lottery"

    rate: Share = 0.2  # delta, the share of the surviving weights that each pruning removes
    iterations: Natural = 5  # P, the number of prunings; 0 leaves the generator dense
    # prune the smallest weights of the whole network, or the same share of each layer
    scope: Scope = "global"
    # True: train the ticket once more under its final mask, P + 1 trainings in total.
    # False: Alg. 2 as printed, P trainings; the last pruning comes after the last training
    train_final: bool = True
    min_kept_per_layer: Natural = 0  # with 0, a layer that would lose everything is an error

    def __post_init__(self) -> None:
        super().__post_init__()
        trained = self.train_final or self.iterations > 0
        self.require("train_final", trained, "true where lottery.iterations=0: nothing trains else")


Weights = dict[str, NDArray[np.float32]]


class LotteryPruner:
    """Keeps the initial weights and the mask of survivors.

    Masks are nested: pruned weights stay pruned. After level p exactly ``pruned_count(n, rate, p)``
    weights are pruned: of all n weights for the global scope, of each layer for the local scope (a
    layer keeps at least its floor). Initial weights are copied; settings are those of
    ``LotteryConfig``.
    """

    def __init__(
        self,
        initial: Mapping[str, NDArray[np.float32]],
        *,
        rate: float = 0.2,
        scope: Scope = "global",
        min_kept_per_layer: int = 0,
    ) -> None:
        self._config = LotteryConfig(rate=rate, scope=scope, min_kept_per_layer=min_kept_per_layer)
        self._initial = {name: np.array(array, order="C") for name, array in initial.items()}
        self._mask: Mask = {name: np.ones(a.shape, dtype=bool) for name, a in initial.items()}
        self._level = 0

    @property
    def initial(self) -> Weights:
        """Copies of the initial weights."""
        return {name: array.copy() for name, array in self._initial.items()}

    @property
    def mask(self) -> Mask:
        """Copies of the masks, bool, True where a weight is kept."""
        return {name: array.copy() for name, array in self._mask.items()}

    @property
    def level(self) -> int:
        """p, the number of prunings so far."""
        return self._level

    @property
    def num_weights(self) -> int:
        """n, the number of weights, pruned or not, without biases."""
        return sum(self._mask[name].size for name in prunable(self._mask))

    @property
    def num_pruned(self) -> int:
        """Number of pruned weights."""
        return sum(int(np.count_nonzero(~kept)) for kept in self._mask.values())

    @property
    def sparsity(self) -> float:
        """Share of weights that are pruned, in [0, 1]."""
        return self.num_pruned / self.num_weights

    def prune(self, trained: Mapping[str, NDArray[np.float32]]) -> Mask:
        """Go to the next level: prune the smallest surviving trained weights (Alg. 2, line 13).

        Returns the new masks. Raises LayerCollapseError if a layer would lose its last weight
        (level and masks stay as they were), TrainingError if a surviving weight is not finite,
        DataError for other names or shapes.
        """
        self._check(trained)
        config, level = self._config, self._level + 1
        mask = prune(
            trained,
            self._mask,
            pruned=lambda size: pruned_count(size, config.rate, level),
            scope=config.scope,
            min_kept_per_layer=config.min_kept_per_layer,
        )
        self._mask, self._level = mask, level
        return self.mask

    def rewind(self, weights: Mapping[str, NDArray[np.float32]] | None = None) -> Weights:
        """Return the surviving initial weights, or the survivors of other weights.

        ``weights`` may be those of an early round. Survivors are kept bit for bit, pruned weights
        are +0.0. Raises DataError for other names or shapes.
        """
        if weights is not None:
            self._check(weights)
        source = self._initial if weights is None else weights
        zero = np.float32(0)
        return {name: np.where(kept, source[name], zero) for name, kept in self._mask.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return level, initial weights and masks."""
        return {"level": self._level, "initial": self._initial, "mask": self._mask}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``; the settings are not changed.

        Raises DataError for other names or shapes.
        """
        initial, mask = dict(state["initial"]), dict(state["mask"])
        self._check(initial)
        self._check(mask)
        self._level, self._initial, self._mask = state["level"], initial, mask

    def _check(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        expected = {name: array.shape for name, array in self._mask.items()}
        given = {name: array.shape for name, array in arrays.items()}
        if given != expected:
            raise DataError(f"weights are of shapes {given}: {expected} are needed")
