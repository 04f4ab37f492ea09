"""Many rounds: quality of the global generator against cumulative bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.papers.compressibility_wgan.federated.plan import (
    AVERAGE,
    CODECS,
    LOSSLESS,
    PLAIN,
    Plan,
)
from experiments.study.app_runs import finish_run, plain_bytes
from experiments.study.cases import StudyCase
from flwr_gan.app.overrides import split_overrides

MEASURES = ("synthetic_accuracy", "conditional_accuracy", "frechet_distance")
COLUMNS = ("round", "bytes", "total_bytes", "sparsity", *MEASURES)
# Levels of quality, fixed before the runs; the distance must fall to its level.
LEVELS = {
    "synthetic_accuracy": (0.80, 0.85, 0.90, 0.93),
    "conditional_accuracy": (0.80, 0.90, 0.95),
    "frechet_distance": (20.0, 10.0, 5.0),
}


@dataclass(frozen=True)
class RoundsCase(StudyCase):
    """One run."""

    columns = ("data", "strategy", "wire", "seed")
    title = "rounds-{data}-{strategy}-{wire}-{seed}"

    plan: Plan  # the settings that all cases share
    data: str  # a key of ``Plan.rounds_settings``
    seed: int  # seed of the run
    # a pair of ``WIRES``
    strategy: str
    wire: str

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        return {"overrides": self.overrides}

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return 4.0 if self.wire == PLAIN else 70.0

    @property
    def overrides(self) -> str:
        """The overrides of the app."""
        settings = self.plan.rounds_settings[self.data].split(" ")
        if self.strategy == AVERAGE:
            settings = [item for item in settings if not item.startswith("strategy.")]
            settings += ["strategy=fedavg", f"federation.rounds={self.plan.rounds}"]
        settings.append(f"seed={self.seed}")
        if self.wire != PLAIN:
            settings.append(CODECS[self.wire])
        return " ".join(settings)

    def measure(self, folder: Path) -> dict[str, Any]:
        """Return one row per round of ``many_rounds.csv``.

        Runs of plain Flower have only bytes, which do not depend on the weights, so their training
        has only one iteration per round.
        """
        if self.wire == PLAIN:
            settings = f"{self.overrides} gan.local_iterations=1 output_dir={folder / 'run'}"
            rounds = plain_bytes(settings).assign(sparsity=0.0)
        else:
            finish_run(split_overrides(self.overrides), folder / "run")
            rounds = pd.read_csv(folder / "run" / "rounds.csv")
            rounds["bytes"] = rounds.up_bytes + rounds.down_bytes
        rounds["total_bytes"] = rounds["bytes"].cumsum()
        return {"rounds": rounds[[key for key in COLUMNS if key in rounds]].to_dict("records")}


def with_quality_of_plain(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return the rounds, with plain Flower's quality filled in from the lossless wire.

    Both train the same generator, bit for bit, if the replies are added in the same order.
    """
    keys = ["data", "seed", "round"]
    lossless = rounds[(rounds.strategy == AVERAGE) & (rounds.wire == LOSSLESS)]
    known = lossless.set_index(keys)[list(MEASURES)]
    plain = rounds.wire == PLAIN
    places = pd.MultiIndex.from_frame(rounds.loc[plain, keys])
    rounds = rounds.copy()
    rounds.loc[plain, list(MEASURES)] = known.reindex(places).to_numpy()
    return rounds


def bytes_to_quality(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return the bytes after which each run first reaches each level; missing if it never does."""
    rows = []
    for key, run in rounds.groupby(["data", "strategy", "wire", "seed"], sort=False):
        for measure, levels in LEVELS.items():
            falls = measure == "frechet_distance"
            for level in levels:
                reached = run[run[measure] <= level] if falls else run[run[measure] >= level]
                rows.append(
                    dict(zip(("data", "strategy", "wire", "seed"), key, strict=True))
                    | {
                        "measure": measure,
                        "level": level,
                        "round": reached["round"].min(),
                        "total_bytes": reached["total_bytes"].min(),
                    }
                )
    table = pd.DataFrame(rows)
    table[["round", "total_bytes"]] = table[["round", "total_bytes"]].astype("Int64")
    return table
