"""One run of the study, and its measures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.papers.rg_gan.material import load_material
from experiments.papers.rg_gan.setting import METHODS, Family
from experiments.papers.rg_gan.training import run_case
from experiments.study.cases import StudyCase
from experiments.study.results import keep_samples


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """One run."""

    columns = ("family", "method", "samples", "augmented_data", "seed")

    family: str  # one of ``FAMILIES``
    method: str  # one of ``METHODS``
    samples: int  # number of training samples
    augmented_data: bool = False  # whether the critic sees differentiably augmented samples
    # of data, initial weights and all draws, which do not depend on the method
    seed: int
    family_settings: Family  # all other settings
    device: str = "cpu"  # device of the training; scores are computed on the CPU

    @property
    def name(self) -> str:
        """The case as a file name."""
        more = "_da" if self.augmented_data else ""
        return f"{self.family}_{self.method}_n{self.samples}{more}_seed{self.seed}"

    @property
    def work_s(self) -> float:
        """Roughly how long it takes, in processor seconds."""
        settings, levels = self.family_settings, METHODS[self.method].ticket_levels + 1
        updates = settings.gan.iterations
        masked = bool(METHODS[self.method].pruned)
        seconds = updates * (settings.masked_update_s if masked else settings.update_s)
        return levels * (seconds + updates / settings.check_every * settings.check_s) + 2.0

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        known = {"family": asdict(self.family_settings), "method": asdict(METHODS[self.method])}
        for name in ("title", "update_s", "masked_update_s", "check_s"):
            known["family"].pop(name)
        known["method"].pop("title")
        return known | {"place": self.place}

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train and score; save a few samples of the best generator."""
        material = load_material(self.family, self.family_settings)
        result, shown_nTC = run_case(self, material, device=self.device)
        keep_samples(folder, shown_nTC)
        return result
