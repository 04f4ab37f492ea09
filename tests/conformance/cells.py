"""The cells of the matrix: which there are, and what comes out of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from tests.conformance.running import Row, Run, run
from tests.conformance.tables import Table, tables
from tests.conformance.verdict import Verdict, final_score, judge

PLAIN_FAILS = {
    "legacy-FedXgbBagging-with BatchNorm",
    "legacy-FedXgbCyclic-with BatchNorm",
    "legacy-FedXgbNnAvg-MLP",
    "legacy-FedXgbNnAvg-with BatchNorm",
    "legacy-MLP, bfloat16",
    "legacy-boosters, FedAvg",
    "messages-FedXgbBagging-with BatchNorm",
    "messages-MLP, bfloat16",
    "messages-QFedAvg-with BatchNorm",
    "messages-boosters, FedAvg",
}
"""Rows in which plain Flower raises, or clients fail; the wire has to fail alike."""


@dataclass(frozen=True)
class Cell:
    """A row of a table with one of its codecs."""

    table: Table
    row: Row
    codec: str

    def __str__(self) -> str:
        return f"{self.table.name}-{self.row}-{self.codec}"

    @property
    def missing(self) -> str:
        """Return the library that the row needs and that is not installed, or nothing."""
        return "" if not self.row.needs or find_spec(self.row.needs) else self.row.needs

    def verdict(self) -> Verdict:
        """Run the cell; the plain run is kept for the other cells of its row."""
        plain = plain_run(self.table.name, str(self.row))
        faults = plain_faults(self.row, plain)
        if faults:
            return Verdict("", faults)
        return judge(plain, run(self.row, self.codec), self.codec)


def cells(only: str = "") -> Iterator[Cell]:
    """Return all cells, or those whose names contain ``only``."""
    for table in tables():
        for row in table.rows:
            for codec in table.codecs:
                cell = Cell(table, row, codec)
                if only in str(cell):
                    yield cell


@lru_cache(maxsize=8)
def plain_run(table_name: str, row_name: str) -> Run:
    """Return the run of a row on plain Flower."""
    (table,) = (table for table in tables() if table.name == table_name)
    (row,) = (row for row in table.rows if str(row) == row_name)
    return run(row, None)


def plain_faults(row: Row, plain: Run) -> tuple[str, ...]:
    """Tell why a plain run is not what its row says of it: nothing then could be compared."""
    failing = sum(failures for _, _, _, failures in plain.witness.replies)
    failed = plain.error is not None or failing > len(row.recipe.failing)
    if failed == (str(row) in PLAIN_FAILS):
        return ()
    if failed:
        return (f"plain Flower fails: {plain.error or f'{failing} failures'}",)
    return ("plain Flower works here now: take the row out of PLAIN_FAILS",)


def plain_text(row: Row, plain: Run) -> str:
    """Return what a table says of the plain run: its final accuracy or loss."""
    if plain.error is not None:
        return "raises"
    score, measure = final_score(plain.witness)
    if score != score:
        return "clients fail"
    return f"{score:.3f}" if measure == "accuracy" else f"{measure} {score:.3f}"
