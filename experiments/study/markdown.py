"""Tables in Markdown, and pages whose tables are rewritten from results."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from flwr_gan.core.atomic import write_text
from flwr_gan.errors import OutputError


def markdown_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, flush_right: bool = False
) -> str:
    """Return a Markdown table of text cells.

    With ``flush_right``, the columns after the second are aligned to the right.
    """
    rule = [":--" if i < 2 else "--:" for i in range(len(head))]
    lines = [list(head), rule if flush_right else ["---"] * len(head), *map(list, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


Cell = str | tuple[str, int] | tuple[str, int, float] | Callable[[Any], str]
"""A column's name; or a number's name, digits and unit; or a function from a row to its cell."""

Columns = list[tuple[str, Cell]]
"""The head and the cells of each column of a page's table."""


def page_table(
    table: pd.DataFrame,
    columns: Iterable[tuple[str, Cell]],
    *,
    sign: str = "",
    flush_right: bool = False,
) -> str:
    """Return a Markdown table with the given heads and cells of columns.

    A number is followed by its half width if the table has a column ``NAME_half_width``.
    """
    pairs = list(columns)
    as_they_are = table.astype(object)  # whole numbers stay whole in rows of floats
    rows = [[cell(row, spec, sign=sign) for _, spec in pairs] for _, row in as_they_are.iterrows()]
    return markdown_table([head for head, _ in pairs], rows, flush_right=flush_right)


def cell(row: Any, spec: Cell, *, sign: str = "") -> str:
    """Return the text of a cell."""
    if isinstance(spec, str):
        return str(row[spec])
    if callable(spec):
        return spec(row)
    name, digits, unit = (*spec, 1) if len(spec) == 2 else spec
    if name not in row or pd.isna(row[name]):
        return "-"
    half = row.get(f"{name}_half_width", math.nan)
    width = "" if math.isnan(half) else f" ± {half / unit:.{digits}f}"
    return f"{row[name] / unit:{sign}.{digits}f}{width}"


def number(value: float, digits: int, *, absent: str = "-") -> str:
    """Return a number with ``digits`` decimals, or ``absent`` if there is none."""
    return absent if pd.isna(value) else f"{value:,.{digits}f}"


def fill_pages(pages: Sequence[Path], parts: Mapping[str, str]) -> None:
    """Rewrite parts of pages, each between ``<!-- name -->`` and ``<!-- end -->``."""
    try:
        texts = {page: page.read_text(encoding="utf-8") for page in pages}
    except OSError as error:
        raise OutputError(f"{error.filename} cannot be read: {error.strerror}") from error
    for name, part in parts.items():
        for page, text in texts.items():
            if found := re.search(
                rf"(?<=<!-- {re.escape(name)} -->\n).*?(?=<!-- end -->)", text, re.S
            ):
                texts[page] = f"{text[: found.start()]}{part}\n{text[found.end() :]}"
                break
        else:
            names = " and ".join(page.name for page in pages)
            raise OutputError(f"{names} has no marker <!-- {name} -->: put it back")
    for page, text in texts.items():
        write_text(page, text)


def write_parts(
    parts: Mapping[str, str], pages: Sequence[Path], results: Path, *, committed: bool
) -> Path | None:
    """Fill the pages if the results are committed; else write and return their ``tables.md``."""
    if committed:
        fill_pages(pages, parts)
        return None
    text = "\n\n".join(f"## {name}\n\n{part}" for name, part in parts.items())
    write_text(results / "tables.md", text + "\n")
    return results / "tables.md"
