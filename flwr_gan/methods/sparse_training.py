"""Unstructured pruning with training: single weights become zero, the others are trained on."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from flwr_gan.gan import WganGpTrainer
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.methods.base import Method, TrainedGan
from flwr_gan.methods.settings import require_count, require_share, require_word
from flwr_gan.prune.growing_mask import SCOPES, grow_mask
from flwr_gan.prune.magnitude import Mask
from flwr_gan.prune.masked_network import MaskedNetwork
from flwr_gan.prune.pruning_schedule import Pruning, gradual, iterative, one_shot

CRITERIA = ("magnitude", "random")
SCHEDULES = ("one_shot", "iterative", "gradual")
MODULES = ("generator", "critic", "both")

Scores = dict[str, NDArray[np.float32]]


class SparseTraining(Method):
    """Prunes weights of a trained generator while it is trained further.

    The generator that comes out has the same shapes; exactly ``round(fraction * n)`` of its n
    weights are zero (with ``module="critic"`` none), biases neither pruned nor counted. Masks are
    nested: what is pruned stays pruned, and so do the optimisers' states from one pruning to the
    next.

    Parameters
    ----------
    fraction : float
        Share of the weights that goes, in (0, 1).
    criterion : str
        ``"magnitude"``: the smallest go. ``"random"``: any, as a control.
    scope : str
        ``"global"``: the share is of all layers together. ``"local"``: of each layer.
    schedule : str
        ``"one_shot"``: prune, then train. ``"iterative"``: equal shares, each followed by equal
        training. ``"gradual"``: during training, along the cubic curve of Zhu and Gupta (2017).
    steps : int
        Only for ``"iterative"``: prunings.
    every : int
        Only for ``"gradual"``: updates of the generator between two prunings.
    until : float
        Only for ``"gradual"``: share of the training within which the last pruning comes, in
        (0, 1).
    module : str
        What loses weights: ``"generator"``, ``"critic"`` or ``"both"``, each the same share in the
        same way. A pruned critic does not overpower a pruned generator; its gradients are taken by
        autograd, whatever the config says.
    min_kept_per_layer : int
        Weights that every layer keeps.

    Raises
    ------
    ConfigError
        If a setting is of the wrong type or out of range.
    """

    def __init__(
        self,
        *,
        fraction: float = 0.8,
        criterion: str = "magnitude",
        scope: str = "global",
        schedule: str = "one_shot",
        steps: int = 4,
        every: int = 10,
        until: float = 0.75,
        module: str = "generator",
        min_kept_per_layer: int = 1,
    ) -> None:
        require_share("fraction", fraction)
        require_word("criterion", criterion, CRITERIA)
        require_word("scope", scope, SCOPES)
        require_word("schedule", schedule, SCHEDULES)
        require_count("steps", steps)
        require_count("every", every)
        require_share("until", until)
        require_word("module", module, MODULES)
        require_count("min_kept_per_layer", min_kept_per_layer)
        self.fraction = fraction
        self.criterion = criterion
        self.scope = scope
        self.schedule = schedule
        self.steps = steps
        self.every = every
        self.until = until
        self.module = module
        self.min_kept_per_layer = min_kept_per_layer

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the same shapes."""
        return deepcopy(generator)

    def prunings(self, iterations: int) -> list[Pruning]:
        """Return when how much is pruned, in order."""
        if self.schedule == "iterative":
            return iterative(self.fraction, iterations, self.steps)
        if self.schedule == "gradual":
            return gradual(self.fraction, iterations, self.every, self.until)
        return one_shot(self.fraction)

    def compress(
        self,
        gan: TrainedGan,
        *,
        iterations: int,
        rng: torch.Generator,
        progress: str | None = None,
    ) -> SampleGenerator:
        """Return a generator with zeros in it, trained for ``iterations`` updates.

        Raises
        ------
        ConfigError
            If the floor of the layers leaves too few weights to prune.
        """
        generator, critic, config = deepcopy(gan.generator), deepcopy(gan.critic), gan.config
        mask = {name: np.ones(a.shape, bool) for name, a in network_arrays(generator).items()}
        drawn = self._drawn(mask, rng)
        masked = drawn_critic = None
        if self.module != "generator":
            masked = MaskedNetwork(critic)
            drawn_critic = self._drawn(masked.mask, rng)
            config = replace(config, critic_gradients="autograd")
        trainer = WganGpTrainer(generator, critic, config=config)
        prunings = self.prunings(iterations)
        ends = [pruning.update for pruning in prunings]
        self._train(trainer, gan, ends[0], rng, mask, progress)
        for pruning, end in zip(prunings, [*ends[1:], iterations], strict=True):
            if self.module != "critic":
                mask = self._grow(drawn or network_arrays(generator), mask, pruning)
            survivors = {n: np.where(mask[n], a, 0) for n, a in network_arrays(generator).items()}
            load_network_arrays(generator, survivors)
            if masked:
                scores = drawn_critic or masked.weights
                masked.set_mask(self._grow(scores, masked.mask, pruning))
            self._train(trainer, gan, end - pruning.update, rng, mask, progress)
        return generator

    def _drawn(self, mask: Mask, rng: torch.Generator) -> Scores | None:
        """Return what decides instead of the magnitudes, drawn once so that masks are nested."""
        if self.criterion == "magnitude":
            return None
        return {
            name: torch.rand(layer.shape, generator=rng, device=rng.device).cpu().numpy()
            for name, layer in mask.items()
        }

    def _grow(self, scores: Scores, mask: Mask, pruning: Pruning) -> Mask:
        return grow_mask(
            scores,
            mask,
            fraction=pruning.fraction,
            scope=self.scope,
            min_kept_per_layer=self.min_kept_per_layer,
        )

    @staticmethod
    def _train(
        trainer: WganGpTrainer,
        gan: TrainedGan,
        iterations: int,
        rng: torch.Generator,
        mask: Mask,
        progress: str | None,
    ) -> None:
        if iterations:
            trainer.train(
                gan.x_NTC, gan.y_N, iterations=iterations, rng=rng, mask=mask, progress=progress
            )
