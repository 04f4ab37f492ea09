"""Output files of a study: tables, figures, provenance, and a page of tables."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flwr_gan import __version__
from flwr_gan.core.atomic import replacing, write_text
from flwr_gan.errors import OutputError


def write_table(table: pd.DataFrame, path: Path, *, digits: int = 5) -> Path:
    """Write a table as CSV with ``digits`` significant digits; return the path."""
    write_text(path, table.to_csv(index=False, float_format=f"%.{digits}g"))
    return path


def rounded(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """Return the table as it is read back from ``write_table``."""
    floats = [name for name in table if pd.api.types.is_float_dtype(table[name])]
    kept = table.copy()
    for name in floats:
        kept[name] = [float(f"{value:.{digits}g}") for value in table[name]]
    return kept


def write_json(value: Mapping[str, Any], path: Path) -> Path:
    """Write JSON; return the path."""
    write_text(path, json.dumps(value, indent=2) + "\n")
    return path


def today() -> str:
    """Return the date in ISO format, UTC."""
    return datetime.now(UTC).date().isoformat()


def versions(libraries: Sequence[str]) -> dict[str, str]:
    """Return the versions of this package, of Python and of some libraries."""
    return {
        "flwr_gan": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in libraries},
    }


def machine() -> str:
    """Return the name of the processor if the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def description(run: Mapping[str, Any], details: str = "") -> str:
    """Return a paragraph on what was run; ``details`` are sentences that are added to it."""
    seeds = ", ".join(map(str, run["seeds"]))
    libraries = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    count = len(run["missing"])
    missing = f"{count} runs, named in [run.json](results/run.json)" if count else "nothing"
    return (
        f"`{run['command']}`, {run['date']}: {run['runs']} runs, seeds {seeds}, "
        f"{run['core_minutes']} core-minutes, one thread each, on {run['machine']}. "
        f"{details}{' ' if details else ''}{libraries}. Not run: {missing}."
    )


SAMPLES = "samples.npy"


def keep_samples(folder: Path, x_NTC: NDArray[np.float32]) -> None:
    """Write samples into the folder of a case, completely or not at all."""
    with replacing(folder / SAMPLES) as temporary, temporary.open("wb") as stream:
        np.save(stream, x_NTC, allow_pickle=False)


def read_samples(folder: Path) -> NDArray[np.float32]:
    """Return the samples in the folder of a case."""
    try:
        found: NDArray[np.float32] = np.load(folder / SAMPLES, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {folder / SAMPLES}: {error}") from error
    return found
