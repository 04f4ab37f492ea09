"""The compared ways, and one run with its results."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.study.app_runs import finish_run, is_finished, settings_of
from experiments.study.cases import StudyCase

TARGET = 0.93
POPULATION = f"links=mixed devices=mixed target=synthetic_accuracy:{TARGET}"
DENSE = "lottery.iterations=0"
WAYS = {
    "main job": "",
    "FedAvg": f"strategy=fedavg federation.rounds=16 {DENSE}",
    "FedAvg, deadline": f"strategy=fedavg federation.rounds=16 {DENSE} clock.deadline_s=5.5",
    "FedBuff": f"strategy=fedbuff federation.rounds=32 {DENSE}",
    "FedAsync": f"strategy=fedasync federation.rounds=120 {DENSE}",
}
SHORT = (
    "gan.local_iterations=2 gan.channels=[8,8] gan.critic_hidden=[8,8] gan.batch_size=8 "
    "samples_per_class=20 lottery.min_kept_per_layer=8"
)


@dataclass(frozen=True)
class Case(StudyCase):
    """One run."""

    way: str
    seed: int
    overrides: tuple[str, ...] = ()
    columns = ("way", "seed")

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.way.replace(', ', ' ').replace(' ', '-')}_seed{self.seed}"

    @property
    def arguments(self) -> list[str]:
        """The overrides of the run."""
        return [*POPULATION.split(), *WAYS[self.way].split(), f"seed={self.seed}", *self.overrides]

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings of the run."""
        return settings_of(self.arguments)

    def measure(self, folder: Path) -> dict[str, Any]:
        """Finish the run; return its final measures and the time to each target."""
        run = folder / "run"
        if not is_finished(run) and self.settings["strategy"]["_target_"].endswith(
            ("FedBuff", "FedAsync")
        ):
            shutil.rmtree(run, ignore_errors=True)  # such a run cannot be resumed
        finish_run(self.arguments, run)
        summary = json.loads((run / "summary.json").read_text())
        final, totals = summary["final"], summary["totals"]
        rounds, clients = (pd.read_csv(run / f"{name}.csv") for name in ("rounds", "clients"))
        busy = 1 - clients["idle_s"].sum() / (len(clients) * final["virtual_s"])
        return {
            **summary["to_target"],
            "virtual_s": final["virtual_s"],
            "synthetic_accuracy": final["synthetic_accuracy"],
            "best_accuracy": rounds["synthetic_accuracy"].max(),
            "replies": int(rounds["clients"].sum()),
            "late": int(rounds["late"].sum()) if "late" in rounds else 0,
            "staleness": rounds["staleness"].mean() if "staleness" in rounds else 0.0,
            "busy": busy,
            "up_bytes": totals["up_bytes"],
            "down_bytes": totals["down_bytes"],
            "rounds": rounds.to_dict("records"),
            "clients": clients.to_dict("records"),
        }
