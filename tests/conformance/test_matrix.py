"""Every cell of the matrix: behind the wire, an app does what it does on plain Flower."""

import logging
import warnings

import pytest

from tests.conformance.cells import PLAIN_FAILS, cells


def _marks(cell):
    if not cell.row.fast:
        return pytest.mark.matrix
    return pytest.mark.long if str(cell).startswith(("models-", "long-")) else ()


CELLS = [pytest.param(cell, id=str(cell), marks=_marks(cell)) for cell in cells()]


@pytest.mark.parametrize("cell", CELLS)
def test_is_like_plain_flower(cell):
    if cell.missing:
        pytest.skip(f"needs {cell.missing}")
    logging.getLogger("flwr_gan").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of flwr's deprecated strategies, and of sums with inf
        verdict = cell.verdict()
    assert not verdict.faults, "\n".join(verdict.faults[:5])


def test_rows_that_plain_flower_cannot_run_are_rows():
    assert {str(cell.row) for cell in cells()} >= PLAIN_FAILS


def test_names_of_cells_are_distinct():
    names = [str(cell) for cell in cells()]
    assert len(names) == len(set(names))
