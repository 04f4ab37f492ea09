"""One part of the study as a case: generators are trained, coded and scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from experiments.papers.compressibility_wgan.cell import Cell
from experiments.papers.compressibility_wgan.coding import code_generators, layer_rows
from experiments.papers.compressibility_wgan.scoring import score_generators
from experiments.papers.compressibility_wgan.training import find_generators
from experiments.study.app_runs import settings_of
from experiments.study.cases import StudyCase

_SETTINGS = ("data", "partition", "gan", "lottery", "seed")


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """A client's search for a ticket, with its controls; parameters are those of ``Cell``."""

    columns = ("data", "scope", "seed")

    data: str
    scope: str
    seed: int
    overrides: tuple[str, ...]
    client: int = 0
    controls: tuple[int, ...] = ()
    work_s = 420.0

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.data}_{self.scope}_seed{self.seed}"

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        settings = settings_of(self.cell(Path()).all_overrides)
        known = {name: settings[name] for name in _SETTINGS}
        return known | {"client": self.client, "controls": list(self.controls)}

    def cell(self, folder: Path) -> Cell:
        """Return the part of the study in a folder."""
        return Cell(
            data=self.data, scope=self.scope, seed=self.seed, folder=folder,
            overrides=self.overrides, client=self.client, controls=self.controls,
        )  # fmt: skip

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train, code and score what is not there yet; return rows of each."""
        cell = self.cell(folder)
        find_generators(cell)
        return {
            "codings": code_generators(cell),
            "quality": score_generators(cell),
            "layers": layer_rows(cell),
        }
