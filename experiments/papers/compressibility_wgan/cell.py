"""One part of the study: a data set, a way to prune and a seed, with its folder and its data."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from flwr_gan.app.config import RunConfig, load_config
from flwr_gan.app.federation import Federation, load_federation
from flwr_gan.data import Samples
from flwr_gan.gan import load_network_arrays, sample
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


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A client's search for a ticket, with its controls."""

    data: str  # name of the data set
    scope: str  # ``"global"`` or ``"local"`` pruning
    seed: int  # initial weights, training and samples derive from it; cells of one seed are paired
    folder: Path  # where everything of this cell is kept
    # further settings of the app, ``experiment=paper_scaled`` among them
    overrides: tuple[str, ...]
    client: int = 0  # which partition's samples are trained on
    # levels at which the controls that have to be trained are trained
    controls: tuple[int, ...] = ()

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

    @property
    def place(self) -> dict[str, str | int]:
        """Data set, scope and seed, as columns."""
        return {"data": self.data, "scope": self.scope, "seed": self.seed}
