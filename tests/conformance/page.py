"""The page of tables."""

import platform
from collections.abc import Mapping
from importlib.metadata import version

from experiments.study.markdown import markdown_table
from tests.conformance.cells import Cell, plain_run, plain_text
from tests.conformance.running import Row
from tests.conformance.strategies import APIS
from tests.conformance.tables import Table, tables
from tests.conformance.verdict import TOLERANCE

LIBRARIES = ("flwr", "torch", "numpy", "scikit-learn", "xgboost-cpu", "ml_dtypes")
COMMAND = "python -m tests.conformance"
TITLES = {"legacy": "`flwr.server.strategy` and `NumPyClient`", "messages": "the message API"}

INTRODUCTION = f"""# What plain Flower carries, the wire carries

Each row is a small federation that runs once on plain Flower and once for each codec behind the
wire. `{COMMAND}` makes this page, and `tests/conformance` asserts every cell.

- **=**: final arrays, metrics and the number of failures in each round are those of plain Flower,
  bit for bit, and every array arrives with the name, type, shape and values with which it was sent.
  Only `raw` is asked to keep the sign of a zero.
- **±0.003**: the codec is lossy, and the final accuracy differs by so much, or the loss where there
  is no accuracy; {TOLERANCE} is allowed. What is finite stays finite, an array without negative
  values arrives without any, and integers and bytes are exact.
- **same error**: plain Flower raises, and the wire raises the same.

"plain" is the final accuracy on plain Flower, or the loss. Clients are seeded, replies go to the
strategy in the order of their nodes, and noise is drawn from a seed, so that two runs compare.
"""


def page(results: Mapping[str, str]) -> str:
    """Return the page.

    Parameters
    ----------
    results : mapping of str to str
        What each cell says, by its name; tables without any are left out.
    """
    parts = [INTRODUCTION, made_with()]
    for table in tables():
        for api in APIS:
            rows = [row for row in table.rows if row.api == api]
            lines = [_line(table, row, results) for row in rows]
            lines = [line for line in lines if any(line[3:])]
            if lines:
                head = [table.head, "model", "plain", *table.codecs]
                if not any(line[1] for line in lines):
                    head, lines = _without(head, 1), [_without(line, 1) for line in lines]
                title = f"## {table.title}: {TITLES[api]}"
                parts += [title, markdown_table(head, lines)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def made_with() -> str:
    """Return the versions of what matters."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES if _installed(name))
    return f"Made with Python {platform.python_version()}, {libraries}."


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except ModuleNotFoundError:
        return False


def _line(table: Table, row: Row, results: Mapping[str, str]) -> list[str]:
    found = [results.get(str(Cell(table, row, codec)), "") for codec in table.codecs]
    if not any(found) or all(text.startswith("needs") for text in found):
        plain = ""
    else:
        plain = plain_text(row, plain_run(table.name, str(row)))
    return [row.label, row.model_label, plain, *(text.replace("|", "\\|") for text in found)]


def _without(line: list[str], place: int) -> list[str]:
    return line[:place] + line[place + 1 :]
