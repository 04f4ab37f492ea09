"""One translation from style A to B with one seed, and its distance to the true pairs.

N samples, T vectors, C components.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.study.cases import StudyCase
from experiments.study.results import keep_samples
from experiments.style_transfer.styles import STYLE, Styles, load_styles
from experiments.style_transfer.translation import Translation
from flwr_gan.data.drawing import rasterised
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.weights import network_arrays
from flwr_gan.metrics.measures import drawing_agreement
from flwr_gan.prune.magnitude import kept_weights, prunable
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import encode_payload

WAYS = {
    "none": "no translation",
    "adversarial": "without cycle loss",
    "cycle": "with cycle loss",
    "pruned": "with it, pruned",
    "truth": "true pair",
}
TRAINED = ("adversarial", "cycle", "pruned")
CYCLE_WEIGHT = 10.0
PRUNED_FRACTION = 0.75
CONFIG = GanConfig(critic_hidden=(128, 128))
EVERY_CLASS = 3  # every third class is in the picture


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """One way with one seed."""

    columns = ("way", "seed")
    title = "{way}_seed{seed}"

    way: str  # one of ``WAYS``
    seed: int  # of data, initial weights and training; the same for all ways
    updates: int = 1200  # of the translators
    num_samples: int = 3314  # of each of the three data sets

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return 4 + 0.055 * self.updates * (self.way in TRAINED)

    @property
    def cycle_weight(self) -> float:
        """Lambda, the weight of the cycle loss."""
        return 0.0 if self.way == "adversarial" else CYCLE_WEIGHT

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        return {
            **asdict(self), "cycle_weight": self.cycle_weight, "pruned_fraction": PRUNED_FRACTION,
            "gan": asdict(CONFIG), "style": asdict(STYLE),
        }  # fmt: skip

    def measure(self, folder: Path) -> dict[str, Any]:
        """Translate held-out samples; return their distances to the true pairs."""
        styles = load_styles(self.seed, self.num_samples)
        x_NTC, truth_NTC = styles.pair_A.x_NTC, styles.pair_B.x_NTC
        made_NTC = truth_NTC if self.way == "truth" else x_NTC
        found: dict[str, Any] = {}
        if self.way in TRAINED:
            translation = self.trained(styles)
            made_NTC, back_NTC = translation.there_and_back(x_NTC)
            found = {"cycle_error": float(np.abs(back_NTC - x_NTC).mean())}
            found |= _size(network_arrays(translation.translators[0]))
        y_N = styles.pair_A.y_N
        _, first = np.unique(y_N, return_index=True)
        keep_samples(folder, made_NTC[first[::EVERY_CLASS]])
        accuracy, iou = drawing_agreement(rasterised(made_NTC), rasterised(truth_NTC))
        judged = styles.judge.compare(made_NTC, y_N, styles.real_B.x_NTC)
        return {
            "squared_difference": float(np.square(made_NTC - truth_NTC).mean()),
            "pixel_accuracy": accuracy,
            "iou": iou,
            "class_kept": judged["conditional_accuracy"],
            "frechet_distance": judged["frechet_distance"],
            **found,
        }

    def trained(self, styles: Styles) -> Translation:
        """Return the trained translators; ``pruned`` prunes them after half of the updates.

        The pairs are not used.
        """
        a_NTC, b_NTC = styles.train_A.x_NTC, styles.train_B.x_NTC
        _, T, C = a_NTC.shape
        translation = Translation(
            (T, C), config=CONFIG, cycle_weight=self.cycle_weight, seed=self.seed
        )
        rng = torch.Generator().manual_seed(derive_seed(self.seed, "style transfer"))
        before = self.updates // 2
        translation.train(a_NTC, b_NTC, updates=before, rng=rng)
        if self.way == "pruned":
            translation.prune(PRUNED_FRACTION)
        translation.train(a_NTC, b_NTC, updates=self.updates - before, rng=rng)
        return translation


def _size(arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Return a translator's share of pruned weights and the bytes of its payload."""
    kept = kept_weights(arrays)
    weights = [kept[name] for name in prunable(arrays)]
    return {
        "sparsity": 1 - sum(map(np.count_nonzero, weights)) / sum(map(np.size, weights)),
        "payload_bytes": len(encode_payload(arrays, codec="sparse")),
    }
