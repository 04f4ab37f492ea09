"""Runs the cases one after another; what is finished is kept."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from traceback import format_exception
from typing import Any

import pandas as pd
from tqdm import tqdm

from experiments.privacy.attack import attack_uploads
from experiments.privacy.setting import Case
from experiments.runner import train
from experiments.study_loop import claim_file, run_each
from flwr_gan.atomic import write_text
from flwr_gan.errors import FlwrGanError, OutputError
from flwr_gan.overrides import split_overrides
from flwr_gan.wiring import load_federation

RESULT, CASE = "result.json", "case.json"
SCORES = ("frechet_distance", "coverage", "conditional_accuracy", "synthetic_accuracy")


def is_finished(case: Case, folder: Path) -> bool:
    """Return whether a case is run and attacked."""
    return (folder / case.name / RESULT).exists()


def read_result(case: Case, folder: Path) -> dict[str, Any]:
    """Return what a finished case has left.

    Raises
    ------
    OutputError
        When it cannot be read.
    """
    path = folder / case.name / RESULT
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path}: {error}; remove it and run again") from error
    return found


def run_cases(cases: Sequence[Case], folder: Path) -> int:
    """Run what is not finished; return the number of cases that failed.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    for case in cases:
        settings = {"overrides": case.overrides, "attacked": case.setting.attacked_per_class}
        claim_file(folder / case.name / CASE, settings)
    left = [case for case in cases if not is_finished(case, folder)]
    if len(left) < len(cases):
        print(f"{len(cases) - len(left)} of {len(cases)} runs are finished", flush=True)
    minutes = sum(case.work_s for case in left) / 60
    print(f"{len(left)} runs, about {minutes:.0f} core-minutes", flush=True)

    def run(case: Case) -> str:
        return _line(run_case(case, folder))

    with tqdm(total=len(left), unit="run", disable=None) as bar:
        return run_each(left, run, lambda case: case.work_s, bar, reason=_reason)


def run_case(case: Case, folder: Path) -> dict[str, Any]:
    """Run the app, attack its uploads, write and return the result."""
    began, run = time.process_time(), folder / case.name / "run"
    if run.exists():
        shutil.rmtree(run)  # it was interrupted
    overrides = split_overrides(f"{case.overrides} output_dir={run}")
    train(overrides)
    federation = load_federation(" ".join(overrides))
    attacks = list(attack_uploads(federation, run, per_class=case.setting.attacked_per_class))
    result = _measured(run) | {"attacks": attacks, "cpu_s": time.process_time() - began}
    write_text(folder / case.name / RESULT, json.dumps(result, indent=2) + "\n")
    return result


def _measured(run: Path) -> dict[str, Any]:
    """Return quality, bytes and epsilon of a run."""
    last = pd.read_csv(run / "rounds.csv").iloc[-1]
    messages = pd.read_csv(run / "messages.csv")
    up = messages[(messages["direction"] == "up") & (messages["kind"] == "train")]
    result: dict[str, Any] = {key: float(last[key]) for key in (*SCORES, "sparsity")}
    result["payload_bytes"] = float(up["payload_bytes"].mean())
    result["dense_bytes"] = float(up["dense_bytes"].mean())
    if (run / "privacy.csv").exists():
        spent = pd.read_csv(run / "privacy.csv")
        result["epsilon"] = float(spent["epsilon"].max())
        result["noise_multiplier"] = float(spent["noise_multiplier"].max())
        result["critic_steps"] = int(spent["steps"].max())
    return result


def _line(result: dict[str, Any]) -> str:
    auc = sum(row["nearest"] for row in result["attacks"]) / len(result["attacks"])
    spent = f"epsilon {result['epsilon']:.2f}, " if "epsilon" in result else ""
    return (
        f"{spent}Fréchet {result['frechet_distance']:.2f}, "
        f"{result['payload_bytes'] / 1000:.1f} kB, AUC {auc:.3f}, {result['cpu_s']:.0f} s"
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, FlwrGanError) else "".join(format_exception(error))
