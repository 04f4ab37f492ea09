"""Clients that lie: what the wire refuses, and the page that says so."""

import re
from pathlib import Path

import pandas as pd
import pytest

from experiments.deployment import lies

PAGE = Path(__file__).parents[2] / "docs" / "deploy.md"


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lies, "ROUNDS", 2)


@pytest.mark.long
@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize(
    ("lie", "refused"),
    [("none", 0), ("garbage", 2), ("bomb", 2), ("replay of this round", 0),
     ("replay of the last round", 0), ("times 1e6", 0)],
)  # fmt: skip
def test_what_the_wire_refuses(lie: str, refused: int):
    found = lies.measured("FedMedian", lie, 1)
    assert found["refused"] == refused
    assert found["accuracy"] > 0.8


@pytest.mark.usefixtures("_short")
def test_an_average_is_ruined_by_one_liar_and_a_trimmed_mean_is_not():
    found = {name: lies.measured(name, "all NaN", 1) for name in ("FedAvg", "FedTrimmedAvg")}
    assert found["FedAvg"]["accuracy"] == 0.0
    assert found["FedTrimmedAvg"]["accuracy"] > 0.8


def test_the_page_holds_the_committed_tables():
    (found,) = re.findall(r"<!-- lies -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.S)
    assert found == lies.page(pd.read_csv(lies.RESULTS / "lies.csv"))
