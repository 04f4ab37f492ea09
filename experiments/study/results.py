"""The files that a study leaves: tables, figures, what was run on what, and a page of tables."""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from flwr_gan import __version__
from flwr_gan.core.atomic import write_text


def write_table(table: pd.DataFrame, path: Path, *, digits: int = 5) -> Path:
    """Write a table as CSV, numbers with so many digits; return the path."""
    write_text(path, table.to_csv(index=False, float_format=f"%.{digits}g"))
    return path


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
    """Return the name of the processor, as far as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def description(run: Mapping[str, Any], details: str = "") -> str:
    """Return in a paragraph what was run, from what ``run.json`` holds.

    ``details`` are sentences on what is particular to a study.
    """
    seeds = ", ".join(map(str, run["seeds"]))
    libraries = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    count = len(run["missing"])
    missing = f"{count} runs, named in [run.json](results/run.json)" if count else "nothing"
    return (
        f"`{run['command']}`, {run['date']}: {run['runs']} runs, seeds {seeds}, "
        f"{run['core_minutes']} core-minutes, one thread each, on {run['machine']}. "
        f"{details}{' ' if details else ''}{libraries}. Not run: {missing}."
    )
