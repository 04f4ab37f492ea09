"""The files that every study leaves: tables, what was run on what, and a page of tables."""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.study.markdown import fill_page
from flwr_gan import __version__
from flwr_gan.core.atomic import write_text


def write_tables(
    tables: Mapping[str, pd.DataFrame],
    run: Mapping[str, Any],
    results: Path,
    *,
    float_format: str = "%.5g",
) -> Iterator[Path]:
    """Write tables as CSV and what is told of the run as ``run.json``; yield their paths."""
    for name, table in tables.items():
        write_text(results / name, table.to_csv(index=False, float_format=float_format))
        yield results / name
    write_text(results / "run.json", json.dumps(run, indent=2) + "\n")
    yield results / "run.json"


def write_parts(parts: Mapping[str, str], results: Path, page: Path, *, committed: bool) -> Path:
    """Write the parts of a page into the page, or all to ``tables.md`` beside other results.

    Parameters
    ----------
    parts : mapping of str to str
        Markdown by the name of its marker.
    results : Path
        Folder of the results.
    page : Path
        The page with the markers.
    committed : bool
        True if the results are those that the page is about.

    Returns
    -------
    Path
        What was written.
    """
    if committed:
        fill_page(page, parts)
        return page
    text = "\n\n".join(f"## {name}\n\n{part}" for name, part in parts.items())
    write_text(results / "tables.md", text + "\n")
    return results / "tables.md"


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
    """Return the name of the processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.machine()


def description(run: dict[str, Any]) -> str:
    """Return one line of what was run, from what is told in ``run.json``."""
    missing = f"; {len(run['missing'])} runs are missing" if run["missing"] else ""
    return (
        f"`{run['command']}`, {run['date']}: {run['runs']} runs, seeds "
        f"{', '.join(map(str, run['seeds']))}, {run['core_minutes']} core-minutes{missing}."
    )
