"""Runs the continual preset as it is and without each of its parts; what is finished is kept."""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from experiments.continual.capacity import capacity_rows
from experiments.runner import train
from experiments.study_loop import claim_file, run_each
from flwr_gan.atomic import write_text
from flwr_gan.errors import ConfigError, OutputError
from flwr_gan.wiring import load_federation

WAYS: dict[str, tuple[str, ...]] = {
    "as the preset": (),
    "no replay": ("strategy.replay=0",),
    "no regeneration": ("regeneration=none",),
    "neither": ("strategy.replay=0", "regeneration=none"),
    "never dense again": ("regeneration.augmented=false",),
    "never silent": ("strategy.threshold=0",),
}
RESULT, CASE = "result.json", "case.json"
SHORT = (
    "federation.rounds=4 drift.every=2 federation.num_clients=2 gan.local_iterations=4 "
    "gan.channels=[16,8] gan.critic_hidden=[8,8] gan.batch_size=16 gan.critic_iterations=1 "
    "samples_per_class=10 regeneration.pace=3"
)
_SECONDS = 100.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run.

    Parameters
    ----------
    way : str
        A key of ``WAYS``.
    seed : int
        Runs of one seed share data, split and initial weights.
    overrides : tuple of str
        Settings that all ways share.
    """

    way: str
    seed: int
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.way.replace(' ', '-')}_seed{self.seed}"

    @property
    def settings(self) -> tuple[str, ...]:
        """All settings but for the folder; those of a part that is switched off are left out."""
        own = WAYS[self.way]
        off = "regeneration=none" in own
        shared = [x for x in self.overrides if not (off and x.startswith("regeneration."))]
        return ("experiment=continual", f"seed={self.seed}", *shared, *own)


def grid(
    ways: Sequence[str], seeds: Sequence[int], overrides: Sequence[str] = ()
) -> Iterator[Case]:
    """Yield the runs, seed after seed.

    Raises
    ------
    ConfigError
        When a way is unknown or a seed is named twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {','.join(map(str, seeds))}: name at least one, each once")
    for way in ways:
        if way not in WAYS:
            raise ConfigError(f"--ways {way}: choose from {', '.join(WAYS)}")
    for seed in seeds:
        for way in ways or WAYS:
            yield Case(way=way, seed=seed, overrides=tuple(overrides))


def is_finished(case: Case, folder: Path) -> bool:
    """Return whether a case is run and measured."""
    return (folder / case.name / RESULT).exists()


def read_result(case: Case, folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return what a finished case has left: its measures and a row a round.

    Raises
    ------
    OutputError
        When it cannot be read.
    """
    path = folder / case.name / RESULT
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        rounds = pd.read_csv(folder / case.name / "run" / "rounds.csv")
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path}: {error}; remove it and run again") from error
    return found, rounds


def run_cases(cases: Sequence[Case], folder: Path) -> int:
    """Run what is not finished; return the number of cases that failed.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    for case in cases:
        claim_file(folder / case.name / CASE, {"settings": list(case.settings)})
    left = [case for case in cases if not is_finished(case, folder)]
    print(f"{len(left)} of {len(cases)} runs are left", flush=True)

    def run(case: Case) -> str:
        found = _run_case(case, folder)
        return (
            f"old {found['old_accuracy']:.3f}, new {found['new_accuracy']:.3f}, "
            f"{found['up_bytes'] / 1000:.0f} kB up, {found['cpu_s']:.0f} s"
        )

    with tqdm(total=len(left), unit="run", disable=None) as bar:
        return run_each(left, run, lambda _: _SECONDS, bar)


def _run_case(case: Case, folder: Path) -> dict[str, Any]:
    """Run the app, measure the clients' generators, write and return the result."""
    began, run = time.process_time(), folder / case.name / "run"
    if run.exists():
        shutil.rmtree(run)  # it was interrupted
    overrides = [*case.settings, f"output_dir={run}"]
    train(overrides)
    rounds = pd.read_csv(run / "rounds.csv")
    last = rounds.iloc[-1]
    measures = ("old_accuracy", "new_accuracy", "forgetting_accuracy", "pool_accuracy")
    result: dict[str, Any] = {name: float(last[name]) for name in measures}
    result["frechet_distance"] = float(last["frechet_distance"])
    first_stage = rounds[rounds["stage"] == 0]
    result["old_accuracy_before"] = float(first_stage["new_accuracy"].iloc[-1])
    result["up_bytes"] = int(rounds["up_bytes"].sum())
    result["down_bytes"] = int(rounds["down_bytes"].sum())
    result["uploads"] = int(rounds["clients"].sum())
    federation = load_federation(" ".join(overrides))
    result["capacity"] = list(capacity_rows(federation, run))
    result["cpu_s"] = time.process_time() - began
    write_text(folder / case.name / RESULT, json.dumps(result, indent=2) + "\n")
    return result
