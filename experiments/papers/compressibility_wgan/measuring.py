"""Bytes of every generator of a case under every codec, and its quality, also after lossy codes.

Zeros are also coded as in the paper, with the sign that ``weight * mask`` gives them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from experiments.benchmarks.codecs import GENERAL, QUANTISED, SPARSE, installed
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import OutputError
from flwr_gan.gan import network_arrays
from flwr_gan.metrics import SampleJudge
from flwr_gan.prune.pruner import Weights
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template, decode_payload, encode_payload
from flwr_gan.wire.codecs import get_codec

if TYPE_CHECKING:
    from experiments.papers.compressibility_wgan.cases import Case

CODED = ("kind", "level", "zeros", "codec")
SCORED = ("kind", "level", "codec")
LABELS_FOR_OUTPUT = 2000
MAX_SAMPLES = 2000
JUDGE_SEED = 0
LOSSY = ("sparse:int8", "sparse:int6", "sparse:int4")
LOSSLESS = "sparse"


class Rows:
    """Rows under the columns of a key, read from a CSV file and written back to it."""

    def __init__(self, path: Path, key: Sequence[str]) -> None:
        self._path, self._key = path, tuple(key)
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path.exists():
            try:
                table = pd.read_csv(path)
                keys = zip(*(table[column].tolist() for column in self._key), strict=True)
                for key, (_, row) in zip(keys, table.iterrows(), strict=True):
                    self._rows[key] = {str(name): value for name, value in row.items()}
            except (KeyError, ValueError) as error:
                raise OutputError(f"{path} cannot be read: {error}; delete it") from error

    def __contains__(self, key: object) -> bool:
        """Return whether there is a row with this key."""
        return key in self._rows

    def add(self, key: tuple[Any, ...], row: Mapping[str, Any]) -> None:
        """Add a row; ``write`` saves it."""
        self._rows[key] = dict(zip(self._key, key, strict=True)) | dict(row)

    @property
    def all(self) -> list[dict[str, Any]]:
        """All rows."""
        return list(self._rows.values())

    def write(self) -> None:
        """Write all rows, completely or not at all."""
        table = pd.DataFrame(self.all)
        write_text(self._path, table.to_csv(index=False, float_format="%.6g"))


def codings() -> list[tuple[str, str]]:
    """Return kind of zeros and codec of each coding; ``sparse`` is not used on signed zeros."""
    specs = installed((*GENERAL, *SPARSE, *QUANTISED))
    signed = [spec for spec in specs if not spec.startswith("sparse")]
    return [*(("signed", spec) for spec in signed), *(("canonical", spec) for spec in specs)]


def code_generators(cell: "Case") -> list[dict[str, Any]]:
    """Code both readings of the generator after each pruning; return one row per coding."""
    rows = Rows(cell.folder / "codecs.csv", CODED)
    labels_N = cell.draw_labels(LABELS_FOR_OUTPUT)
    generators = [("retrained", level) for level in cell.levels]
    generators += [("pruned", level) for level in cell.levels[1:]]
    for kind, level in generators:
        weights = cell.load(kind, level)
        size = sum(array.size for array in weights.values())
        kept = sum(int(np.count_nonzero(array)) for array in weights.values())
        outputs = None
        for zeros, spec in codings():
            key = (kind, level, zeros, spec)
            if key not in rows:
                arrays = with_signed_zeros(cell, kind, level) if zeros == "signed" else weights
                payload = encode_payload(
                    arrays, codec=spec, self_contained=False, strict=zeros == "signed"
                )
                row: dict[str, Any] = {
                    "sparsity": 1 - kept / size,
                    "dense_bytes": 4 * size,
                    "payload_bytes": len(payload),
                    "ratio": 4 * size / len(payload),
                }
                if not get_codec(spec).lossless:
                    if outputs is None:
                        outputs = cell.generate(weights, labels_N)
                    decoded = decode_payload(payload, template=Template.of(weights))
                    change = cell.generate(decoded, labels_N) - outputs
                    row["output_change"] = float(np.sqrt(np.mean(change**2)) / outputs.std())
                rows.add(key, row)
        rows.write()
    return rows.all


def with_signed_zeros(cell: "Case", kind: str, level: int) -> Weights:
    """Return the generator after ``level`` prunings, with zeros as products with its mask.

    A pruned weight is +0.0 or -0.0, with the sign that it had before. The reset of Alg. 2, line 11,
    multiplies the initial weights by the mask, so the zero has the initial weight's sign. In the
    generator pruned after its last training, the weights of the last pruning have the sign of the
    trained weight.
    """
    weights = cell.load(kind, level)
    generator, _ = cell.federation.networks(cell.seed)
    signs = network_arrays(generator)
    if kind == "pruned":
        # trained weights are +0.0 where an earlier pruning removed them
        trained = cell.load("retrained", level - 1)
        signs = {name: np.where(trained[name] != 0, trained[name], signs[name]) for name in signs}
    return {
        name: np.where(kept != 0, kept, np.copysign(np.float32(0), signs[name]))
        for name, kept in weights.items()
    }


def layer_rows(cell: "Case") -> list[dict[str, Any]]:
    """Return weights and kept weights of each layer after each pruning."""
    return [
        {"level": level, "layer": name, "weights": array.size, "kept": int((array != 0).sum())}
        for level in cell.levels[1:]
        for name, array in cell.load("pruned", level).items()
    ]


def scorings(cell: "Case") -> list[tuple[str, int, str]]:
    """Return kind, level and codec of each generator that is scored, if it exists."""
    pruned = cell.levels[1:]
    plan = [("retrained", level, LOSSLESS) for level in cell.levels]
    plan += [("pruned", level, LOSSLESS) for level in pruned]
    if cell.scope == "global":
        plan += [("one_shot", level, LOSSLESS) for level in pruned]
        plan += [(kind, level, LOSSLESS) for kind, level in cell.trained_controls]
        plan += [("retrained", level, codec) for level in cell.levels for codec in LOSSY]
    return plan


def score_generators(cell: "Case") -> list[dict[str, Any]]:
    """Score the remaining generators, and real samples; return one row per generator.

    All cases of a data set share one judge, so that distances are comparable. There are as many
    generated samples as real ones: at most 2,000, and no more than the training part has. The row
    of kind ``real`` has the two accuracies of real samples that the judge was not trained on.
    """
    rows = Rows(cell.folder / "quality.csv", SCORED)
    dataset = cell.federation.dataset
    judge = SampleJudge(
        dataset.train,
        dataset.test,
        num_classes=dataset.num_classes,
        seed=JUDGE_SEED,
        max_samples=MAX_SAMPLES,
    )
    real = ("real", 0, LOSSLESS)
    if real not in rows:
        rows.add(real, judge.real_scores)
    labels_N = cell.draw_labels(min(MAX_SAMPLES, len(dataset.train)))
    seed = derive_seed(cell.seed, "study-judge")
    for key in scorings(cell):
        if key not in rows and cell.path(*key[:2]).exists():
            x_NTC = cell.generate(_coded(cell, *key), labels_N)
            rows.add(key, judge.score(x_NTC, labels_N, seed=seed))
            rows.write()
    rows.write()
    return rows.all


def _coded(cell: "Case", kind: str, level: int, codec: str) -> Weights:
    """Return the weights as a receiver decodes them."""
    weights = cell.load(kind, level)
    if codec == LOSSLESS:
        return weights
    return decode_payload(encode_payload(weights, codec=codec), template=Template.of(weights))
