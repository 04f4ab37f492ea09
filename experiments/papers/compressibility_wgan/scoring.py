"""Quality of every generator of one cell, lossily coded ones included."""

from typing import Any

from experiments.papers.compressibility_wgan.cell import Cell
from experiments.papers.compressibility_wgan.rows import Rows
from flwr_gan.metrics import SampleJudge
from flwr_gan.prune.pruner import Weights
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template, decode_payload, encode_payload

KEY = ("kind", "level", "codec")
MAX_SAMPLES = 2000
JUDGE_SEED = 0
LOSSY = ("sparse:int8", "sparse:int6", "sparse:int4")
LOSSLESS = "sparse"


def scorings(cell: Cell) -> list[tuple[str, int, str]]:
    """Return kind, level and codec of each generator that is scored, if it is there."""
    first, last = cell.levels[0], cell.levels[-1]
    plan = [("retrained", level, LOSSLESS) for level in cell.levels]
    plan += [("pruned", level, LOSSLESS) for level in cell.levels if level > first]
    if cell.scope == "global":
        plan += [("one_shot", level, LOSSLESS) for level in cell.levels if level > first]
        plan += [(kind, level, LOSSLESS) for kind, level in cell.trained_controls]
        coded = sorted({first, last, *(level for level in cell.controls if level in cell.levels)})
        plan += [("retrained", level, codec) for level in coded for codec in LOSSY]
    return plan


def score_generators(cell: Cell) -> list[dict[str, Any]]:
    """Score what is not scored yet, beside real samples; return a row a generator.

    All cells of a data set share one judge, so that distances compare. Generated samples are as
    many as real ones: at most 2,000, and no more than the training part has. The row of kind
    ``real`` holds the scores of real training samples, taken as if they were generated: the floor
    of the distance, and what the other measures can reach, at the same number of samples.
    """
    rows = Rows(cell.folder / "quality.csv", KEY)
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


def _coded(cell: Cell, kind: str, level: int, codec: str) -> Weights:
    """Return the weights as a receiver has them."""
    weights = cell.load(kind, level)
    if codec == LOSSLESS:
        return weights
    return decode_payload(encode_payload(weights, codec=codec), template=Template.of(weights))
