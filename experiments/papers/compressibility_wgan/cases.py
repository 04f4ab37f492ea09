"""One part of the study: a client's search for a ticket, with its controls.

Each generator is saved at once, so that an interrupted case can continue.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.papers.compressibility_wgan.measuring import (
    code_generators,
    layer_rows,
    score_generators,
)
from experiments.study.app_runs import settings_of
from experiments.study.cases import StudyCase
from flwr_gan.app.config import load_config
from flwr_gan.app.federation import Federation, load_federation
from flwr_gan.app.run_config import RunConfig
from flwr_gan.data import Samples
from flwr_gan.errors import LayerCollapseError
from flwr_gan.gan import WganGpTrainer, load_network_arrays, network_arrays, sample
from flwr_gan.prune import LotteryPruner
from flwr_gan.prune.magnitude import Mask
from flwr_gan.prune.pruner import Weights
from flwr_gan.seeding import derive_seed, numpy_rng
from flwr_gan.wire import load, save

KINDS = {
    "retrained": "ticket, trained once more under its mask",
    "pruned": "ticket, pruned after its last training",
    "reinitialised": "the ticket's mask, other initial weights",
    "random_mask": "the ticket's initial weights, random mask",
    "one_shot": "dense generator, pruned once, no training",
}
"""Kinds of generator; all kinds at one level have the same number of weights."""


_SETTINGS = ("data", "partition", "gan", "lottery", "seed")


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """A data set, a scope of pruning and a seed."""

    columns = ("data", "scope", "seed")
    title = "{data}_{scope}_seed{seed}"

    data: str  # name of the data set
    scope: str  # ``"global"`` or ``"local"`` pruning
    seed: int  # of initial weights, training and samples; cases with the same seed are paired
    # further settings of the app, ``experiment=paper_scaled`` among them
    overrides: tuple[str, ...]
    client: int = 0  # the partition whose samples are trained on
    # levels at which the trained controls are trained
    controls: tuple[int, ...] = ()
    folder: Path = Path()  # folder of its generators and rows
    work_s = 800.0

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        settings = settings_of(self.all_overrides)
        known = {name: settings[name] for name in _SETTINGS}
        return known | {"client": self.client, "controls": list(self.controls)}

    def cell(self, folder: Path) -> "Case":
        """Return the case in a folder."""
        return replace(self, folder=folder)

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train, code and score what is missing; return the rows of each step."""
        cell = self.cell(folder)
        find_generators(cell)
        return {
            "codings": code_generators(cell),
            "quality": score_generators(cell),
            "layers": layer_rows(cell),
        }

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """All overrides, including those of this case."""
        own = (f"data={self.data}", f"lottery.scope={self.scope}", f"seed={self.seed}")
        return (*self.overrides, *own)

    @cached_property
    def config(self) -> RunConfig:
        """The app's config."""
        return load_config(self.all_overrides, default_output=str(self.folder))

    @cached_property
    def federation(self) -> Federation:
        """Config, data and split."""
        return load_federation(" ".join(self.all_overrides), default_output=str(self.folder))

    @property
    def levels(self) -> range:
        """Levels 0 (dense) to P."""
        return range(self.config.lottery.iterations + 1)

    @property
    def trained_controls(self) -> list[tuple[str, int]]:
        """Kind and level of each control that is trained; only global pruning has such controls."""
        chosen = self.controls if self.scope == "global" else ()
        kinds = ("reinitialised", "random_mask")
        return [(kind, level) for level in chosen for kind in kinds if level in self.levels]

    @cached_property
    def samples(self) -> Samples:
        """The client's training samples."""
        return self.federation.samples_of(self.client)

    def path(self, kind: str, level: int) -> Path:
        """Return where the payload of a generator is kept."""
        return self.folder / kind / f"{level:02d}.fgan"

    def load(self, kind: str, level: int) -> Weights:
        """Return the saved weights of a generator."""
        return load(self.path(kind, level))

    def save(self, kind: str, level: int, weights: Weights) -> None:
        """Save the weights of a generator losslessly."""
        save(self.path(kind, level), weights)

    def generate(self, weights: Weights, labels_N: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a sample for each label; the latent vectors depend only on the seed."""
        generator, _ = self.federation.networks(self.seed)
        load_network_arrays(generator, weights)
        rng = torch.Generator().manual_seed(derive_seed(self.seed, "study-samples"))
        return sample(generator, labels_N, rng=rng)

    def draw_labels(self, count: int) -> NDArray[np.int64]:
        """Return labels with the same class frequencies as the client's."""
        rng = numpy_rng(self.seed, "study-labels")
        return rng.choice(self.samples.y_N, count).astype(np.int64)


def find_generators(cell: Case) -> None:
    """Train the missing generators (paper 000, Alg. 2, and the controls).

    Both readings of "the generator after P" come from one search: the weights after training P
    (counted from 0) under mask P are the ticket trained once more; the weights after training
    P - 1 under mask P are the ticket pruned after its last training, Alg. 2 as printed. The control
    that prunes the dense generator at once ends at the level where a whole layer is pruned.
    """
    generator, _ = cell.federation.networks(cell.seed)
    initial = network_arrays(generator)
    pruner, once = _pruner(cell, initial), _pruner(cell, initial)
    masks, whole = [], True
    for level in cell.levels:
        masks.append(pruner.mask)
        if not cell.path("retrained", level).exists():
            trained = train_generator(cell, pruner.rewind(), pruner.mask, level)
            cell.save("retrained", level, trained)
        trained = cell.load("retrained", level)
        if level == 0:
            dense = trained
        if level + 1 in cell.levels:
            pruner.prune(trained)
            cell.save("pruned", level + 1, pruner.rewind(trained))
            whole = whole and _can_prune(once, dense)
            if whole:
                cell.save("one_shot", level + 1, once.rewind(dense))
    for kind, level in cell.trained_controls:
        if not cell.path(kind, level).exists():
            if kind == "reinitialised":
                other, _ = cell.federation.networks(derive_seed(cell.seed, "study-other-weights"))
                start, mask = network_arrays(other), masks[level]
            else:
                start, mask = initial, _random_mask(cell, masks[level], level)
            kept = {name: np.where(mask[name], start[name], np.float32(0)) for name in mask}
            cell.save(kind, level, train_generator(cell, kept, mask, level))


def _pruner(cell: Case, initial: Weights) -> LotteryPruner:
    config = cell.config.lottery
    floor = config.min_kept_per_layer
    return LotteryPruner(initial, rate=config.rate, scope=config.scope, min_kept_per_layer=floor)


def _can_prune(pruner: LotteryPruner, weights: Weights) -> bool:
    """Prune once more; return whether every layer has kept a weight."""
    try:
        pruner.prune(weights)
    except LayerCollapseError:
        return False
    return True


def train_generator(cell: Case, weights: Weights, mask: Mask, level: int) -> Weights:
    """Train a generator from given weights and a new critic; return the generator's weights.

    The ticket and its controls at one level draw the same batches and latent vectors.
    """
    generator, critic = cell.federation.networks(cell.seed)
    load_network_arrays(generator, weights)
    config = cell.config
    trainer = WganGpTrainer(generator, critic, config=config.gan, device=config.federation.device)
    rng = torch.Generator().manual_seed(derive_seed(cell.seed, "study-train", round=level))
    trainer.train(cell.samples.x_NTC, cell.samples.y_N, rng=rng, mask=mask)
    return network_arrays(generator)


def _random_mask(cell: Case, mask: Mask, level: int) -> Mask:
    """Return a random mask that keeps as many weights of each layer as the given mask."""
    rng = numpy_rng(cell.seed, "study-random-mask", round=level)
    return {name: rng.permutation(kept.ravel()).reshape(kept.shape) for name, kept in mask.items()}
