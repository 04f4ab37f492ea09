"""One federation, or one of its references."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.study.app_runs import finish_run, settings_of
from experiments.study.cases import StudyCase
from flwr_gan.app.config import load_config

FEDERATED, TOGETHER, ALONE = "federated", "all data in one place", "each client alone"
TRAINED = (FEDERATED, TOGETHER, ALONE)
SETTINGS = {"main job": "experiment=quickstart", "classifier": "experiment=classifier"}
SHORT = {
    "main job": ("strategy.rounds_per_level=1", "gan.local_iterations=2", "lottery.iterations=1"),
    "classifier": ("federation.rounds=2", "classifier.passes=1"),
}
"""What makes a run of each setting short."""
QUALITY = (
    "conditional_accuracy", "synthetic_accuracy", "coverage", "frechet_distance", "test_accuracy",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """A setting, trained in one of three ways, with a seed."""

    columns = ("setting", "trained", "seed")
    title = "{setting}_{trained}_seed{seed}"

    setting: str  # one of ``SETTINGS``
    trained: str  # one of ``TRAINED``
    seed: int  # of the data's split and of all trainings
    overrides: tuple[str, ...] = ()  # settings of all ways
    work_s = 120.0

    @property
    def federation(self) -> list[str]:
        """The overrides of the federation."""
        return [SETTINGS[self.setting], f"seed={self.seed}", *self.overrides]

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        return settings_of(self.federation) | {"trained": self.trained}

    def measure(self, folder: Path) -> dict[str, Any]:
        """Run the case; return the quality of the last round, one row per run.

        A client alone, and one client with all data, train for as many rounds as the federation.
        """
        clients = load_config(self.federation).federation.num_clients
        one = "federation.num_clients=1"
        alone = [[one, f"federation.alone={client}/{clients}"] for client in range(clients)]
        ways: dict[str, list[list[str]]] = {
            FEDERATED: [[]], TOGETHER: [[one, "partition=iid"]], ALONE: alone,
        }  # fmt: skip
        rows = []
        for at, more in enumerate(ways[self.trained]):
            run = finish_run([*self.federation, *more], folder / str(at))
            last = pd.read_csv(run / "rounds.csv").iloc[-1]
            rows.append({name: float(last[name]) for name in QUALITY if name in last})
        return {"runs": rows}
