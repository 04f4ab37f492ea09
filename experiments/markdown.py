"""Tables in Markdown, and pages whose tables are written anew from results."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flwr_gan.atomic import write_text
from flwr_gan.errors import OutputError


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of cells that are text already."""
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def plus_minus(mean: float, half_width: float, digits: int, *, sign: str = "") -> str:
    """Return a mean and half of its interval, which is left out where it is NaN."""
    width = "" if math.isnan(half_width) else f" ± {half_width:.{digits}f}"
    return f"{mean:{sign}.{digits}f}{width}"


def averaged(row: Mapping[Any, Any], name: str, digits: int, *, unit: float = 1) -> str:
    """Return a measure of a row of ``statistics.average``, in some unit."""
    return plus_minus(row[name] / unit, row[f"{name}_half_width"] / unit, digits)


def fill_page(page: Path, parts: Mapping[str, str], *, output: Path | None = None) -> None:
    """Write parts of a Markdown page anew, each between ``<!-- name -->`` and ``<!-- end -->``.

    Parameters
    ----------
    page : Path
        The page with its markers.
    parts : mapping of str to str
        Text by the name of its marker.
    output : Path, optional
        Where the filled page goes; default: the page itself.

    Raises
    ------
    OutputError
        If the page cannot be read, lacks a marker, or cannot be written.
    """
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{page} cannot be read: {error.strerror}") from error
    for name, part in parts.items():
        found = re.search(rf"(?<=<!-- {re.escape(name)} -->\n).*?(?=<!-- end -->)", text, re.S)
        if not found:
            raise OutputError(f"{page.name} has no marker <!-- {name} -->: put it back")
        text = f"{text[: found.start()]}{part}\n{text[found.end() :]}"
    write_text(output or page, text)
