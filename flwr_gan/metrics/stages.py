"""Quality on old and new data, stage by stage, and forgetting.

N samples, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_gan.data import Samples
from flwr_gan.metrics import SampleJudge

MEASURES = {"accuracy": True, "frechet": False}
"""The measures of each stage, and whether higher is better."""

Generate = Callable[[NDArray[np.int64]], NDArray[np.float32]]


def stage_scores(
    judge: SampleJudge,
    references: Sequence[Samples],
    generate: Generate,
    *,
    samples_per_class: int,
    earlier: Sequence[Mapping[str, Any]],
) -> dict[str, float]:
    """Return the columns of a round: quality on each stage so far, old, new, forgetting.

    ``references`` are real samples of each stage's new data up to the current stage, ``earlier``
    the columns of the previous rounds, oldest first. The result has ``accuracy_0`` and
    ``frechet_0`` for stage 0 and so on: the recognised share of the generated samples of the
    stage's classes, and the Frechet distance to its real samples. ``new_*`` is the current stage,
    ``old_*`` the mean of earlier stages, ``forgetting_*`` the mean of their loss from their best.
    """
    row: dict[str, float] = {"stage": len(references) - 1}
    for stage, real in enumerate(references):
        labels_N = np.repeat(np.unique(real.y_N), samples_per_class)
        scores = judge.compare(generate(labels_N), labels_N, real.x_NTC)
        row[f"accuracy_{stage}"] = scores["conditional_accuracy"]
        row[f"frechet_{stage}"] = scores["frechet_distance"]
    return row | summarised(row, earlier)


def summarised(row: Mapping[str, float], earlier: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return quality on old and new and the forgetting, from the columns of each stage."""
    last = int(row["stage"])
    found: dict[str, float] = {}
    for measure, higher in MEASURES.items():
        found[f"new_{measure}"] = row[f"{measure}_{last}"]
        if last == 0:
            continue
        old = [f"{measure}_{stage}" for stage in range(last)]
        found[f"old_{measure}"] = float(np.mean([row[key] for key in old]))
        drops = [
            forgetting(
                [*(past[key] for past in earlier if key in past), row[key]],
                higher_is_better=higher,
            )
            for key in old
            if any(key in past for past in earlier)
        ]
        if drops:
            found[f"forgetting_{measure}"] = float(np.mean(drops))
    return found


def forgetting(history: Sequence[float], *, higher_is_better: bool) -> float:
    """Return the drop of the last quality from the best before it (Chaudhry et al., 2018).

    ``history`` is oldest first. The drop is above 0 if quality was lost, below 0 if the last value
    is the best. Raises ValueError for fewer than two values.
    """
    if len(history) < 2:
        raise ValueError(f"forgetting needs 2 or more measurements, not {len(history)}")
    *earlier, last = history
    return max(earlier) - last if higher_is_better else last - min(earlier)


def pool_accuracy(
    judge: SampleJudge, pool: Any, *, seed: int, samples_per_class: int
) -> dict[str, float]:
    """Return the recognised share of the pool's samples, over all classes that it knows.

    ``pool`` has ``known_classes`` and ``draw_from_pool``.
    """
    labels_N = np.repeat(np.array(pool.known_classes, np.int64), samples_per_class)
    x_NTC = pool.draw_from_pool(labels_N, seed)
    return {"pool_accuracy": judge.recognised(x_NTC, labels_N)}
