"""The page of the benchmark of updates, which is its own until it stands on ``study``."""

from collections.abc import Mapping
from pathlib import Path

from experiments.study.markdown import fill_pages
from experiments.study.results import machine, today
from flwr_gan.core.atomic import write_text

__all__ = ["machine", "today", "write_parts"]


def write_parts(parts: Mapping[str, str], results: Path, page: Path, *, committed: bool) -> Path:
    """Write the parts of a page into the page, or all to ``tables.md`` beside other results."""
    if committed:
        fill_pages([page], parts)
        return page
    text = "\n\n".join(f"## {name}\n\n{part}" for name, part in parts.items())
    write_text(results / "tables.md", text + "\n")
    return results / "tables.md"
