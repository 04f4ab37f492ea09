"""Unstructured pruning with training: prune single weights and train the others."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from flwr_gan.core.settings import Count, Share
from flwr_gan.errors import ConfigError, LayerCollapseError
from flwr_gan.gan import WganGpTrainer
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.prune.magnitude import Mask, prune
from flwr_gan.prune.masked_network import MaskedNetwork
from flwr_gan.prune.schedule import Pruning, gradual, iterative, one_shot

Scores = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False, kw_only=True)
class SparseTraining(Method):
    """Prunes weights of a trained generator during further training.

    The result has the same shapes; exactly ``round(fraction * n)`` of its n weights are zero (none
    with ``module="critic"``); biases are neither pruned nor counted. Masks are nested: pruned
    weights stay pruned. The optimisers' states are kept from one pruning to the next.
    """

    fraction: Share = 0.8  # of the weights that is pruned
    criterion: Literal["magnitude", "random"] = "magnitude"  # the smallest, or random as a control
    scope: Literal["global", "local"] = "global"  # the share of all layers together, or of each
    # one_shot: prune, then train; iterative: equal shares, each followed by equal training;
    # gradual: during training, along the cubic curve of Zhu and Gupta (2017)
    schedule: Literal["one_shot", "iterative", "gradual"] = "one_shot"
    steps: Count = 4  # prunings, only for iterative
    every: Count = 10  # updates of the generator between two prunings, only for gradual
    until: Share = 0.75  # of the training, within which the last pruning comes; only for gradual
    # the pruned network: each by the same share in the same way. A pruned critic does not overpower
    # a pruned generator; its gradients are always computed by autograd
    module: Literal["generator", "critic", "both"] = "generator"
    min_kept_per_layer: Count = 1  # weights kept in each layer

    def prunings(self, iterations: int) -> list[Pruning]:
        """Return the prunings in order."""
        if self.schedule == "iterative":
            return iterative(self.fraction, iterations, self.steps)
        if self.schedule == "gradual":
            return gradual(self.fraction, iterations, self.every, self.until)
        return one_shot(self.fraction)

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Return a generator with zeros in it, trained for ``iterations`` updates.

        Raises ConfigError if the floor of the layers leaves too few weights to prune.
        """
        generator, critic, config = deepcopy(gan.generator), deepcopy(gan.critic), gan.config
        mask = {name: np.ones(a.shape, bool) for name, a in network_arrays(generator).items()}
        drawn = self._drawn(mask, budget.rng)
        masked = drawn_critic = None
        if self.module != "generator":
            masked = MaskedNetwork(critic)
            drawn_critic = self._drawn(masked.mask, budget.rng)
            config = replace(config, critic_gradients="autograd")
        trainer = WganGpTrainer(generator, critic, config=config)

        def train(iterations: int, mask: Mask) -> None:
            if iterations:
                trainer.train(
                    gan.x_NTC,
                    gan.y_N,
                    iterations=iterations,
                    rng=budget.rng,
                    mask=mask,
                    progress=budget.progress,
                )

        prunings = self.prunings(budget.iterations)
        ends = [pruning.update for pruning in prunings]
        train(ends[0], mask)
        for pruning, end in zip(prunings, [*ends[1:], budget.iterations], strict=True):
            if self.module != "critic":
                mask = self._grow(drawn or network_arrays(generator), mask, pruning)
            survivors = {n: np.where(mask[n], a, 0) for n, a in network_arrays(generator).items()}
            load_network_arrays(generator, survivors)
            if masked:
                scores = drawn_critic or masked.weights
                masked.set_mask(self._grow(scores, masked.mask, pruning))
            train(end - pruning.update, mask)
        return generator

    def _drawn(self, mask: Mask, rng: torch.Generator) -> Scores | None:
        """Return random scores instead of magnitudes, drawn once so that masks are nested."""
        if self.criterion == "magnitude":
            return None
        return {
            name: torch.rand(layer.shape, generator=rng, device=rng.device).cpu().numpy()
            for name, layer in mask.items()
        }

    def _grow(self, scores: Scores, mask: Mask, pruning: Pruning) -> Mask:
        """Return a mask inside another after a pruning; biases are neither pruned nor counted."""
        try:
            return prune(
                scores,
                mask,
                pruned=lambda size: round(pruning.fraction * size),
                scope=self.scope,
                min_kept_per_layer=self.min_kept_per_layer,
            )
        except LayerCollapseError as error:
            raise ConfigError(
                f"method.fraction={self.fraction!r} is not allowed: {error}"
            ) from error
