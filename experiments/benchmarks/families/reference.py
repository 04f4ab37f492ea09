"""What real samples score when they are taken for generated ones: what is left to reach."""

import json
import math
from pathlib import Path
from typing import Any

from experiments.benchmarks.families.material import Material
from flwr_gan.core.atomic import write_text
from flwr_gan.data.dataset import Dataset
from flwr_gan.errors import OutputError
from flwr_gan.metrics import SampleJudge, laplacian_variance


def keep_real(folder: Path, material: Material, dataset: Dataset, judge: SampleJudge) -> None:
    """Measure real training samples against real test samples, once."""
    path = _path(folder, material)
    if path.exists():
        return
    x_NTC = dataset.train.x_NTC[: material.samples]
    scores = judge.full_score(x_NTC, None, 0)
    if material.kind == "image":
        scores["laplacian_variance"] = laplacian_variance(x_NTC)
    write_text(path, json.dumps(scores, indent=2) + "\n")


def read_real(folder: Path, material: Material) -> dict[str, Any] | None:
    """Return the scores of real samples, None where they are not measured yet.

    Raises
    ------
    OutputError
        If the file cannot be read.
    """
    path = _path(folder, material)
    if not path.exists():
        return None
    try:
        scores = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {error}; remove it") from error
    return {name: value for name, value in scores.items() if not math.isnan(value)}


def _path(folder: Path, material: Material) -> Path:
    return folder / "real" / f"{material.name}.json"
