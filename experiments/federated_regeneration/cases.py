"""One-shot federations whose clients find their tickets in three ways, at equal bytes and compute.

Compute is equal by construction: clients that regenerate or prune gradually take as many updates as
all trainings of iterative pruning together. Bytes are equal through sparsity: regeneration
determines its own, and the other ways are set to reach the same one. Gradual pruning is the control
for the length of a training: one training, as with regeneration, but no weight is regrown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.study.app_runs import finish_run, uploads
from experiments.study.cases import StudyCase
from flwr_gan.app.config import load_config
from flwr_gan.errors import TrainingError

WAYS = ("regeneration", "gradual", "iterative")
REGENERATIONS = ("rg", "rg_fast")
QUALITY = ("frechet_distance", "conditional_accuracy", "synthetic_accuracy", "coverage")


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """A run in each of the three ways, with one seed."""

    columns = ("regeneration", "seed")
    title = "{regeneration}-seed{seed}"

    # settings of regeneration, a file of ``conf/regeneration``; the other ways reach the resulting
    # sparsity
    regeneration: str
    seed: int  # of all runs
    overrides: tuple[str, ...] = ()  # settings that all ways share
    work_s = 1000.0

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that all ways share."""
        overrides = ["experiment=one_shot", f"seed={self.seed}", *self.overrides]
        return {"overrides": overrides, "regeneration": self.regeneration}

    def measure(self, folder: Path) -> dict[str, Any]:
        """Run all ways; return for each its bytes, sparsity, quality and seconds."""
        shared = self.settings["overrides"]
        # Settings of regeneration would be unknown keys of the other ways.
        others = [item for item in shared if not item.startswith("regeneration.")]
        regeneration, gradual, iterative = (folder / way for way in WAYS)
        finish_run([*shared, f"regeneration={self.regeneration}"], regeneration)
        sparsity = ticket_sparsity(regeneration)
        if sparsity <= 0:
            raise TrainingError(
                f"{regeneration}: nothing was pruned; raise regeneration.pace or "
                "regeneration.strength"
            )
        config = load_config(others)
        rate = 1 - (1 - sparsity) ** (1 / config.lottery.iterations)
        finish_run([*others, f"lottery.rate={rate:.6f}"], iterative)
        trainings = config.lottery.iterations + config.lottery.train_final
        one_training = [
            "lottery.iterations=0",
            "gan.iterations=1",
            "method=sparse_training",
            "method.schedule=gradual",
            f"method.fraction={sparsity:.6f}",
            f"method_iterations={trainings * config.gan.iterations - 1}",
        ]
        finish_run([*others, *one_training], gradual)
        return {"ways": [_row(folder / way) for way in WAYS]}


def ticket_sparsity(run: Path) -> float:
    """Return the share of pruned weights in the uploads of a run."""
    rows = uploads(run)
    return 1 - float(rows["nonzero"].sum()) / float(rows["parameters"].sum())


def _row(run: Path) -> dict[str, Any]:
    last = pd.read_csv(run / "rounds.csv").iloc[-1]
    return {
        "way": run.name,
        "sparsity": ticket_sparsity(run),
        "payload_up_bytes": int(uploads(run)["payload_bytes"].sum()),
        **{name: float(last[name]) for name in (*QUALITY, "wall_s")},
    }
