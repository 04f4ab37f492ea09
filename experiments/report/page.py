"""One self-contained HTML page of text, tables, pictures and code.

The page needs no network and no other file: it contains style, script and pictures. A section has
blocks in reading order::

    sections = [
        Section("Results", "All codecs are lossless.", Table(frame, "Bytes of each codec")),
        Section("Pictures", Picture(Path("samples.png"), "Ten digits, one row per class")),
    ]
    write_page(Path("report.html"), "Codecs side by side", sections)

All input is escaped; nothing is interpreted as HTML.
"""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, groupby
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from flwr_gan.core.atomic import write_text
from flwr_gan.errors import OutputError

_HERE = Path(__file__).resolve().parent
_PNG = b"\x89PNG\r\n\x1a\n"
_MISSING = "–"
_LONG = 40  # characters; longer cells may have several lines


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by any column."""

    # the cells; the index is not shown. Numbers get thousands separators and up to four digits
    frame: pd.DataFrame
    caption: str  # what the table shows


@dataclass(frozen=True)
class Picture:
    """A PNG picture."""

    source: Path | bytes  # the file, or its contents
    alt: str  # alternative text
    caption: str = ""  # text below the picture

    def __post_init__(self) -> None:
        if not self.alt.strip():
            raise ValueError("a picture needs an alternative text")


@dataclass(frozen=True)
class Code:
    """Text that is shown verbatim: commands, settings."""

    text: str  # the lines
    caption: str = ""  # description of the lines
    folded: bool = False  # whether it is collapsed at first


Block = str | Table | Picture | Code


class Section:
    """A heading and the blocks below it.

    A string is a paragraph, a section a heading one level deeper. Successive pictures are placed
    side by side if there is room.
    """

    def __init__(self, title: str, *blocks: "Block | Section") -> None:
        self.title = title
        self.blocks = blocks


def figure_picture(figure: Figure, alt: str, caption: str = "", *, dpi: int = 130) -> Picture:
    """Return a matplotlib figure as a picture for a page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
    return Picture(buffer.getvalue(), alt, caption)


def page_html(title: str, sections: Sequence[Section], *, lead: str = "") -> str:
    """Return a page as HTML; ``lead`` is a paragraph below the title."""
    numbers = count(1)
    nodes = [_section(section, 2, numbers) for section in sections]
    html = (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            lead=lead,
            sections=nodes,
            css=Markup((_HERE / "page.css").read_text()),
            script=Markup((_HERE / "page.js").read_text()),
        )
    )
    # Text from files may contain lone surrogates, which cannot be encoded.
    return html.lstrip().encode(errors="replace").decode()


def write_page(path: Path, title: str, sections: Sequence[Section], *, lead: str = "") -> None:
    """Write a page, completely or not at all; see `page_html`."""
    write_text(path, page_html(title, sections, lead=lead))


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _section(section: Section, level: int, numbers: "count[int]") -> dict[str, Any]:
    """Return the template's values for a section."""
    node = {
        "kind": "section",
        "id": f"part-{next(numbers)}",
        "title": section.title,
        "level": min(level, 6),
    }
    blocks = [_block(block, level, numbers) for block in section.blocks]
    node["blocks"] = list(_with_galleries(blocks))
    return node


def _with_galleries(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the blocks, with successive pictures grouped side by side."""
    for kind, run in groupby(blocks, key=lambda block: str(block["kind"])):
        together = list(run)
        if kind == "picture" and len(together) > 1:
            yield {"kind": "gallery", "pictures": together}
        else:
            yield from together


def _block(block: Block | Section, level: int, numbers: "count[int]") -> dict[str, Any]:
    if isinstance(block, Section):
        return _section(block, level + 1, numbers)
    if isinstance(block, str):
        return {"kind": "text", "text": block}
    if isinstance(block, Code):
        return {"kind": "code", **vars(block), "text": block.text.rstrip("\n")}
    if isinstance(block, Picture):
        return {"kind": "picture", **vars(block), **_png(block)}
    return _table(block)


def _png(picture: Picture) -> dict[str, Any]:
    """Return a picture as a data URI, with its size in pixels."""
    name = str(picture.source) if isinstance(picture.source, Path) else "a picture"
    try:
        data = picture.source.read_bytes() if isinstance(picture.source, Path) else picture.source
    except OSError as error:
        raise OutputError(f"{name} cannot be read: {error.strerror}") from error
    # Check signature, header and last chunk: a truncated file would show as a broken picture.
    if len(data) < 45 or not data.startswith(_PNG) or data[-8:-4] != b"IEND":
        raise OutputError(f"{name} is no complete PNG picture: remove it, or make it anew")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return {"uri": uri, "width": width, "height": height}


def _table(table: Table) -> dict[str, Any]:
    columns = [
        {
            "name": str(name),
            "number": pd.api.types.is_numeric_dtype(column)
            and not pd.api.types.is_bool_dtype(column),
        }
        for name, column in table.frame.items()
    ]
    rows = [
        [_cell(value, bool(column["number"])) for value, column in zip(row, columns, strict=True)]
        for row in table.frame.itertuples(index=False, name=None)
    ]
    return {"kind": "table", "caption": table.caption, "columns": columns, "rows": rows}


def _cell(value: Any, number: bool) -> dict[str, str]:
    """Return the text, style and sort key of a cell; the key of an empty cell is empty."""
    if pd.isna(value) or value == "":
        return {"shown": _MISSING, "key": "", "look": "number" if number else ""}
    if not number:
        text = str(value)
        return {"shown": text, "key": text, "look": "long" if len(text) > _LONG else ""}
    return {"shown": _number(value), "key": repr(float(value)), "look": "number"}


def _number(value: Any) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    if decimals > 7:
        return f"{value:.3g}"
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
