"""One part of the study: a client's search for a ticket, with its controls.

Each generator is kept at once, so that an interrupted part goes on where it was.
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
"""What a generator is; all kinds at one level have the same number of weights."""


_SETTINGS = ("data", "partition", "gan", "lottery", "seed")


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """A data set, a way to prune and a seed."""

    columns = ("data", "scope", "seed")
    title = "{data}_{scope}_seed{seed}"

    data: str  # name of the data set
    scope: str  # ``"global"`` or ``"local"`` pruning
    seed: int  # initial weights, training and samples derive from it; cases of one seed are paired
    # further settings of the app, ``experiment=paper_scaled`` among them
    overrides: tuple[str, ...]
    client: int = 0  # which partition's samples are trained on
    # levels at which the controls that have to be trained are trained
    controls: tuple[int, ...] = ()
    folder: Path = Path()  # where its generators and rows are kept
    work_s = 420.0

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
        """Train, code and score what is not there yet; return rows of each."""
        cell = self.cell(folder)
        find_generators(cell)
        return {
            "codings": code_generators(cell),
            "quality": score_generators(cell),
            "layers": layer_rows(cell),
        }

    @property
    def all_overrides(self) -> tuple[str, ...]:
        """All overrides, this cell's own included."""
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
        """Kind and level of each control that has to be trained; global pruning alone has them."""
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
        """Return the weights of a generator that was trained or pruned before."""
        return load(self.path(kind, level))

    def save(self, kind: str, level: int, weights: Weights) -> None:
        """Keep the weights of a generator, lossless."""
        save(self.path(kind, level), weights)

    def generate(self, weights: Weights, labels_N: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a sample for each label; the latent vectors depend on the seed alone."""
        generator, _ = self.federation.networks(self.seed)
        load_network_arrays(generator, weights)
        rng = torch.Generator().manual_seed(derive_seed(self.seed, "study-samples"))
        return sample(generator, labels_N, rng=rng)

    def draw_labels(self, count: int) -> NDArray[np.int64]:
        """Return labels as frequent as the client's own."""
        rng = numpy_rng(self.seed, "study-labels")
        return rng.choice(self.samples.y_N, count).astype(np.int64)


def find_generators(cell: Case) -> None:
    """Train what is not there yet (paper 000, Alg. 2, and the controls).

    Both readings of "the generator after P" come from one search: the weights that training P
    (counted from 0) leaves under mask P are the ticket trained once more; the weights of training
    P - 1 under mask P are the ticket pruned after its last training, Alg. 2 as printed. Where
    pruning the dense generator at once takes a whole layer, that control ends.
    """
    generator, _ = cell.federation.networks(cell.seed)
    initial = network_arrays(generator)
    pruner, once = _pruner(cell, initial), _pruner(cell, initial)
    masks, whole = [], True
    for level in cell.levels:
        masks.append(pruner.mask)
        if not cell.path("retrained", level).exists():
            trained = _train(cell, pruner.rewind(), pruner.mask, level)
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
                start, mask = _other_weights(cell), masks[level]
            else:
                start, mask = initial, _random_mask(cell, masks[level], level)
            kept = {name: np.where(mask[name], start[name], np.float32(0)) for name in mask}
            cell.save(kind, level, _train(cell, kept, mask, level))


def _pruner(cell: Case, initial: Weights) -> LotteryPruner:
    config = cell.config.lottery
    floor = config.min_kept_per_layer
    return LotteryPruner(initial, rate=config.rate, scope=config.scope, min_kept_per_layer=floor)


def _can_prune(pruner: LotteryPruner, weights: Weights) -> bool:
    """Go one level up; return whether every layer has kept a weight."""
    try:
        pruner.prune(weights)
    except LayerCollapseError:
        return False
    return True


def _train(cell: Case, weights: Weights, mask: Mask, level: int) -> Weights:
    """Train a generator and a critic from given and initial weights; return the generator's.

    The ticket and its controls at one level draw the same batches and latent vectors.
    """
    generator, critic = cell.federation.networks(cell.seed)
    load_network_arrays(generator, weights)
    config = cell.config
    trainer = WganGpTrainer(generator, critic, config=config.gan, device=config.federation.device)
    rng = torch.Generator().manual_seed(derive_seed(cell.seed, "study-train", round=level))
    trainer.train(cell.samples.x_NTC, cell.samples.y_N, rng=rng, mask=mask)
    return network_arrays(generator)


def _other_weights(cell: Case) -> Weights:
    generator, _ = cell.federation.networks(derive_seed(cell.seed, "study-other-weights"))
    return network_arrays(generator)


def _random_mask(cell: Case, mask: Mask, level: int) -> Mask:
    """Return a mask that keeps as many weights of each layer as another, at random places."""
    rng = numpy_rng(cell.seed, "study-random-mask", round=level)
    return {name: rng.permutation(kept.ravel()).reshape(kept.shape) for name, kept in mask.items()}
