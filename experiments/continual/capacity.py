"""What became of the weights that were free when new data came.

A weight is *freed* if a client's mask had pruned it when the last stage began, and *regained* if it
is in use at the end. What regained weights carry is measured by taking them away: how many times
further the samples are from the real ones, of what came last and of what came before. As many
weights that were in use all along are taken away for comparison, drawn layer by layer. Weights of a
single class, the first layer's columns behind the latent vector, are left alone: they serve their
class whatever is pruned.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context, RecordDict
from numpy.typing import NDArray

from flwr_gan.app.continual import CONTINUAL, Memory
from flwr_gan.app.federation import Federation
from flwr_gan.app.state import load_state
from flwr_gan.core.tree import unflatten
from flwr_gan.data import Samples
from flwr_gan.flower.records import record_to_arrays
from flwr_gan.metrics import SampleJudge
from flwr_gan.prune.regeneration import RegeneratingGenerator
from flwr_gan.seeding import derive_seed, numpy_rng

Arrays = Mapping[str, NDArray[np.float32]]

SAMPLES_PER_CLASS = 100


def capacity_rows(federation: Federation, run: Path) -> Iterator[dict[str, Any]]:
    """Yield a row a client that prunes: shares freed and regained, and what these weights carry."""
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
    """Return which weights serve all classes: all but the label columns of the first layer."""
    masks = {name: np.ones(array.shape, dtype=bool) for name, array in arrays.items()}
    masks["fc.weight"][:, latent_dim:] = False
    return masks


def _drawn(places: NDArray[np.bool_], count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a mask of ``count`` of the places, or of all if there are fewer."""
    flat = np.flatnonzero(places)
    mask = np.zeros(places.size, dtype=bool)
    mask[rng.choice(flat, size=min(count, len(flat)), replace=False)] = True
    return mask.reshape(places.shape)


def _scorer(
    federation: Federation, judge: SampleJudge, seed: int
) -> Callable[[Arrays], dict[str, float]]:
    """Return a function of weights: Frechet distances on the old stages and on the last one."""
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
