"""One-shot federations whose clients find their tickets in two ways, at equal bytes and compute.

Compute is equal by construction: a client that regenerates takes as many updates as all trainings
of iterative pruning together. Bytes are made equal by sparsity: the regenerating clients choose
theirs, and iterative pruning is given the rate that ends at the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.job_state import is_begun, is_finished
from experiments.runner import train
from experiments.study_loop import claim_file
from flwr_gan.config import load_config
from flwr_gan.errors import TrainingError

WAYS = ("regeneration", "iterative")
REGENERATIONS = ("rg", "rg_fast")
QUALITY = ("frechet_distance", "conditional_accuracy", "synthetic_accuracy", "coverage")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run.

    Parameters
    ----------
    way : {"regeneration", "iterative"}
        How clients find their tickets.
    regeneration : str
        Settings of regeneration, a file of ``conf/regeneration``; iterative pruning goes to the
        sparsity that these give.
    seed : int
        Of the run.
    overrides : tuple of str
        Settings that both ways share.
    """

    way: str
    regeneration: str
    seed: int
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.way}-{self.regeneration}-seed{self.seed}"


def run_pair(
    seed: int, folder: Path, overrides: Sequence[str] = (), *, regeneration: str = "rg"
) -> list[Path]:
    """Run both ways with a seed, or what is left of them; return their folders.

    Raises
    ------
    ConfigError
        When the folder holds runs of other settings.
    TrainingError
        When the regenerating clients have pruned nothing, so that there is nothing to compare.
    """
    shared = ("experiment=one_shot", f"seed={seed}", *overrides)
    found, pruned = (
        Case(way=way, regeneration=regeneration, seed=seed, overrides=shared) for way in WAYS
    )
    grown = _run(found, folder, f"regeneration={regeneration}")
    levels = load_config(
        [item for item in shared if _belongs(item, "iterative")]
    ).lottery.iterations
    sparsity = ticket_sparsity(grown)
    if sparsity <= 0:
        raise TrainingError(
            f"{grown}: nothing was pruned; raise regeneration.pace or regeneration.strength"
        )
    rate = 1 - (1 - sparsity) ** (1 / levels)
    return [grown, _run(pruned, folder, f"lottery.rate={rate:.6f}")]


def ticket_sparsity(folder: Path) -> float:
    """Return the share of pruned weights in the uploads of a run."""
    rows = _uploads(folder)
    return 1 - float(rows["nonzero"].sum()) / float(rows["parameters"].sum())


def comparison(
    seeds: Sequence[int], folder: Path, *, regenerations: Sequence[str] = REGENERATIONS
) -> pd.DataFrame:
    """Return a row a finished run: bytes, sparsity, quality, seconds."""
    cases = [
        Case(way=way, regeneration=regeneration, seed=seed)
        for seed in seeds
        for regeneration in regenerations
        for way in WAYS
    ]
    return pd.DataFrame(
        _row(case, folder / case.name) for case in cases if is_finished(folder / case.name)
    )


def _row(case: Case, run: Path) -> dict[str, object]:
    uploads, last = _uploads(run), pd.read_csv(run / "rounds.csv").iloc[-1]
    return {
        "regeneration": case.regeneration,
        "way": case.way,
        "seed": case.seed,
        "sparsity": ticket_sparsity(run),
        "payload_up_bytes": int(uploads["payload_bytes"].sum()),
        **{name: float(last[name]) for name in QUALITY},
        "wall_s": float(last["wall_s"]),
    }


def _run(case: Case, folder: Path, own: str) -> Path:
    run = folder / case.name
    claim_file(folder / f"{case.name}.json", {"settings": [*case.overrides, own]})
    if is_finished(run):
        return run
    if is_begun(run):
        train([f"resume={run}"])
    else:
        # Settings that are given for one way alone would be unknown keys of the other.
        given = [item for item in case.overrides if _belongs(item, case.way)]
        train([*given, own, f"output_dir={run}"])
    return run


def _belongs(item: str, way: str) -> bool:
    return way == "regeneration" or not item.startswith("regeneration.")


def _uploads(folder: Path) -> pd.DataFrame:
    messages = pd.read_csv(folder / "messages.csv")
    rows: pd.DataFrame = messages[(messages["direction"] == "up") & (messages["kind"] == "train")]
    return rows
