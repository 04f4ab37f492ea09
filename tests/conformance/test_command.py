"""The command that makes the tables."""

import pytest

from tests.conformance.__main__ import OUTPUT, main
from tests.conformance.cells import cells


def test_writes_a_page_of_what_it_ran(tmp_path, capsys):
    page = tmp_path / "page.md"
    assert main(["--only", "messages-no arrays", "--output", str(page)]) == 0
    assert "5 of 5 cells are like plain Flower" in capsys.readouterr().out
    text = page.read_text()
    assert "| no arrays | loss 0.000 | = | = | = | = | = |" in text
    assert "flwr 1." in text
    assert "python -m tests.conformance" in text


def test_a_name_that_no_cell_has_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--only", "nonsense", "--output", str(tmp_path / "page.md")])
    assert "no cell has this in its name" in capsys.readouterr().err


def test_the_page_of_the_docs_has_every_row():
    text = OUTPUT.read_text(encoding="utf-8")
    missing = {cell.row.label for cell in cells() if f"| {cell.row.label} |" not in text}
    assert not missing, "run python -m tests.conformance"
