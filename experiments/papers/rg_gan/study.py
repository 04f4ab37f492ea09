"""Runs the cases one after another; a finished one is one file, a failed one ends nothing else."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.papers.rg_gan.material import Material, load_material
from experiments.papers.rg_gan.setting import METHODS, Case
from experiments.papers.rg_gan.training import run_case
from experiments.study_loop import run_each
from flwr_gan.core.tree import read_arrays, write_arrays
from flwr_gan.errors import ConfigError, OutputError
from flwr_gan.gan import torch_threads


def run_path(case: Case, folder: Path) -> Path:
    """Return the file of a finished run."""
    return folder / f"{case.name}.npz"


def is_finished(case: Case, folder: Path) -> bool:
    """Return whether a run's file is there."""
    return run_path(case, folder).exists()


def run_cases(cases: Sequence[Case], folder: Path, *, device: str = "cpu") -> int:
    """Run what is not finished; return the number of cases that failed.

    Parameters
    ----------
    cases : sequence of Case
        What to run, in this order.
    folder : Path
        Each finished run is one file in it.
    device : str
        Where to train.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    finished = [case for case in cases if is_finished(case, folder)]
    for case in finished:
        read_record(case, folder)
    left = [case for case in cases if case not in finished]
    if finished:
        print(f"{len(finished)} of {len(cases)} runs are finished already", flush=True)
    materials: dict[str, Material] = {}

    def run(case: Case) -> str:
        if case.family not in materials:
            materials[case.family] = load_material(case.family, case.settings)
        return _run_and_keep(case, materials[case.family], folder, device=device)

    with torch_threads(1), tqdm(total=len(left), unit="run", disable=None) as bar:
        return run_each(left, run, lambda case: case.work, bar)


def read_record(case: Case, folder: Path) -> dict[str, Any]:
    """Return what a finished run has left.

    Raises
    ------
    ConfigError
        When it is of other settings.
    OutputError
        When the file is missing or damaged.
    """
    path = run_path(case, folder)
    try:
        record: dict[str, Any] = json.loads(read_arrays(path)["record"].tobytes())
    except (KeyError, ValueError) as error:
        raise OutputError(f"cannot read {path}: {error}; remove it") from error
    if record.get("settings") != _settings(case):
        raise ConfigError(f"{path} is of other settings: choose another --folder")
    return record


def read_samples(case: Case, folder: Path) -> NDArray[np.float32]:
    """Return the samples that a finished run has left."""
    return read_arrays(run_path(case, folder))["samples"].astype(np.float32)


def _run_and_keep(case: Case, material: Material, folder: Path, *, device: str = "cpu") -> str:
    """Run one case and write its file; return its result for people."""
    record, shown_nTC = run_case(case, material, device=device)
    text = json.dumps(record | {"settings": _settings(case)})
    arrays: dict[str, NDArray[Any]] = {"samples": shown_nTC}
    arrays["record"] = np.frombuffer(text.encode(), dtype=np.uint8)
    write_arrays(run_path(case, folder), arrays)
    best = record["outputs"]["best"]
    return (
        f"Frechet distance {best['frechet_distance']:.1f} at update {best['update']}, "
        f"{100 * best['generator_sparsity']:.0f} % of the generator pruned, {record['cpu_s']:.0f} s"
    )


def _settings(case: Case) -> dict[str, Any]:
    """Return all settings that a run depends on."""
    known = {"family": asdict(case.settings), "method": asdict(METHODS[case.method])}
    for name in ("title", "update_s", "masked_update_s", "check_s"):
        known["family"].pop(name)
    known["method"].pop("title")
    settings: dict[str, Any] = json.loads(json.dumps(known | {"place": case.place}))
    return settings
