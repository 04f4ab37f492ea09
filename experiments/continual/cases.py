"""The continual preset, and the same without each of its parts.

The study also measures the use of weights that were free when new data came. A weight is *freed* if
a client's mask had pruned it when the last stage began, and *regained* if it is in use at the end.
The effect of regained weights is measured by removing them: the factor by which the distance of
samples to real ones grows, for the last stage and for earlier ones. For comparison, as many weights
that were always in use are removed, drawn layer by layer. Weights of a single class, the first
layer's columns after the latent vector, are kept: they always serve only their class.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from flwr.app import Context, RecordDict
from numpy.typing import NDArray

from experiments.study.app_runs import finish_run
from experiments.study.cases import StudyCase
from flwr_gan.app.continual import CONTINUAL, Memory
from flwr_gan.app.federation import Federation, load_federation
from flwr_gan.app.state import load_state
from flwr_gan.core.tree import unflatten
from flwr_gan.data import Samples
from flwr_gan.flower.records import record_to_arrays
from flwr_gan.metrics import SampleJudge
from flwr_gan.prune.regeneration import RegeneratingGenerator
from flwr_gan.seeding import derive_seed, numpy_rng

Arrays = Mapping[str, NDArray[np.float32]]

SAMPLES_PER_CLASS = 100
WAYS: dict[str, tuple[str, ...]] = {
    "as the preset": (),
    "no replay": ("strategy.replay=0",),
    "no regeneration": ("regeneration=none",),
    "neither": ("strategy.replay=0", "regeneration=none"),
    "never dense again": ("regeneration.augmented=false",),
    "never silent": ("strategy.threshold=0",),
}
SHORT = (
    "federation.rounds=4 drift.every=2 federation.num_clients=2 gan.local_iterations=4 "
    "gan.channels=[16,8] gan.critic_hidden=[8,8] gan.batch_size=16 gan.critic_iterations=1 "
    "samples_per_class=10 regeneration.pace=3"
)


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """One run."""

    columns = ("way", "seed")

    way: str  # a key of ``WAYS``
    seed: int  # runs of one seed share data, split and initial weights
    overrides: tuple[str, ...] = ()  # settings that all ways share

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.way.replace(' ', '-')}_seed{self.seed}"

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings except the folder and those of parts that are switched off."""
        own = WAYS[self.way]
        off = "regeneration=none" in own
        shared = [x for x in self.overrides if not (off and x.startswith("regeneration."))]
        return {"overrides": ["experiment=continual", f"seed={self.seed}", *shared, *own]}

    def measure(self, folder: Path) -> dict[str, Any]:
        """Run the app and measure the clients' generators."""
        overrides = self.settings["overrides"]
        run = finish_run(overrides, folder / "run")
        federation = load_federation(" ".join([*overrides, f"output_dir={run}"]))
        rounds = pd.read_csv(run / "rounds.csv")
        last, before = rounds.iloc[-1], rounds[rounds["stage"] == 0].iloc[-1]
        accuracies = ("old_accuracy", "new_accuracy", "forgetting_accuracy", "pool_accuracy")
        return {
            "old_accuracy_before": float(before["new_accuracy"]),
            **{name: float(last[name]) for name in (*accuracies, "frechet_distance")},
            "uploads": int(rounds["clients"].sum()),
            "up_bytes": int(rounds["up_bytes"].sum()),
            "down_bytes": int(rounds["down_bytes"].sum()),
            "capacity": list(capacity_rows(federation, run)),
            "rounds": rounds.to_dict("records"),
        }


def capacity_rows(federation: Federation, run: Path) -> Iterator[dict[str, Any]]:
    """Yield one row per client that prunes: freed and regained shares, and their effect."""
    config, data = federation.config, federation.dataset
    if config.regeneration is None:
        return
    seed = derive_seed(config.seed, "capacity")
    judge = SampleJudge(data.train, data.test, num_classes=data.num_classes, seed=seed)
    score = _scorer(federation, judge, seed)
    for partition in range(config.federation.num_clients):
        memory = _memory(run / "checkpoint" / "clients" / f"{partition:05d}")
        generator, _ = federation.networks(config.seed)
        masks = RegeneratingGenerator(generator, config.regeneration)
        masks.load_state_dict(memory.masks)
        arrays = masks.arrays()
        rng = numpy_rng(config.seed, "capacity", partition=partition)
        shared = _shared(arrays, config.gan.latent_dim)
        yield {"client": partition} | _measured(arrays, memory.teacher, shared, score, rng)


def _measured(
    arrays: Arrays,
    before: Arrays,
    shared: Mapping[str, NDArray[np.bool_]],
    score: Callable[[Arrays], dict[str, float]],
    rng: np.random.Generator,
) -> dict[str, float]:
    freed = {name: array == 0 for name, array in before.items()}
    regained = {name: freed[name] & (array != 0) for name, array in arrays.items()}
    steady = {name: ~freed[name] & (array != 0) for name, array in arrays.items()}
    taken_away = {name: regained[name] & shared[name] for name in arrays}
    others = {
        name: _drawn(steady[name] & shared[name], int(taken_away[name].sum()), rng)
        for name in arrays
    }
    total = sum(array.size for array in arrays.values())
    row = {
        "freed": _count(freed) / total,
        "regained": _count(regained) / total,
        "regained_shared": _count(taken_away) / total,
        "pruned_at_end": sum(int((array == 0).sum()) for array in arrays.values()) / total,
    }
    whole = score(arrays)
    for what, taken in (("regained", taken_away), ("others", others)):
        found = score({name: np.where(taken[name], 0, array) for name, array in arrays.items()})
        row |= {f"{age}_without_{what}": found[age] / whole[age] for age in whole}
    return row | {f"{age}_frechet": distance for age, distance in whole.items()}


def _shared(arrays: Arrays, latent_dim: int) -> dict[str, NDArray[np.bool_]]:
    """Return masks of the weights of all classes: all but the first layer's label columns."""
    masks = {name: np.ones(array.shape, dtype=bool) for name, array in arrays.items()}
    masks["fc.weight"][:, latent_dim:] = False
    return masks


def _drawn(places: NDArray[np.bool_], count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a random mask of ``count`` of the places, or of all if there are fewer."""
    flat = np.flatnonzero(places)
    mask = np.zeros(places.size, dtype=bool)
    mask[rng.choice(flat, size=min(count, len(flat)), replace=False)] = True
    return mask.reshape(places.shape)


def _scorer(
    federation: Federation, judge: SampleJudge, seed: int
) -> Callable[[Arrays], dict[str, float]]:
    """Return a function from weights to Frechet distances on the old stages and the last one."""
    last = federation.stage(federation.planned_rounds)
    *before, new = federation.references(last)
    old = Samples(
        np.concatenate([real.x_NTC for real in before]),
        np.concatenate([real.y_N for real in before]),
    )

    def score(arrays: Arrays) -> dict[str, float]:
        found = {}
        for age, real in (("old", old), ("new", new)):
            labels_N = np.repeat(np.unique(real.y_N), SAMPLES_PER_CLASS)
            x_NTC = federation.generate(arrays, labels_N, seed)
            found[age] = judge.compare(x_NTC, labels_N, real.x_NTC)["frechet_distance"]
        return found

    return score


def _memory(folder: Path) -> Memory:
    context = Context(run_id=0, node_id=0, node_config={}, state=RecordDict(), run_config={})
    load_state(folder, context, before=1 << 30)
    return Memory(**unflatten(record_to_arrays(context.state.array_records[CONTINUAL])))


def _count(masks: Mapping[str, NDArray[np.bool_]]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())
