"""The continual preset as it is and without each of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.continual.capacity import capacity_rows
from experiments.study.app_runs import finish_run
from experiments.study.cases import StudyCase
from flwr_gan.app.federation import load_federation

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
        """All settings but for the folder; those of a part that is switched off are left out."""
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
