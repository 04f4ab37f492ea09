"""Bytes of every generator of a case under every codec, and its quality, also after lossy codes.

Zeros are also coded as in the paper, with the sign that ``weight * mask`` gives them.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

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

LABELS_FOR_OUTPUT = 2000
MAX_SAMPLES = 2000
JUDGE_SEED = 0
LOSSY = ("sparse:int8", "sparse:int6", "sparse:int4")
LOSSLESS = "sparse"


def codings() -> list[tuple[str, str]]:
    """Return kind of zeros and codec of each coding; ``sparse`` is not used on signed zeros."""
    specs = installed((*GENERAL, *SPARSE, *QUANTISED))
    signed = [spec for spec in specs if not spec.startswith("sparse")]
    return [*(("signed", spec) for spec in signed), *(("canonical", spec) for spec in specs)]


def kept_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows that an interrupted measurement has kept in a JSON file."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {error}; delete it") from error
    return rows


def code_generators(cell: "Case") -> list[dict[str, Any]]:
    """Code both readings of the generator after each pruning; return one row per coding."""
    path = cell.folder / "codecs.json"
    rows = kept_rows(path)
    known = {(row["kind"], row["level"], row["zeros"], row["codec"]) for row in rows}
    labels_N = cell.draw_labels(LABELS_FOR_OUTPUT)
    generators = [("retrained", level) for level in cell.levels]
    generators += [("pruned", level) for level in cell.levels[1:]]
    for kind, level in generators:
        missing = [pair for pair in codings() if (kind, level, *pair) not in known]
        if not missing:
            continue
        weights = cell.load(kind, level)
        size = sum(array.size for array in weights.values())
        kept = sum(int(np.count_nonzero(array)) for array in weights.values())
        outputs = cell.generate(weights, labels_N)
        for zeros, spec in missing:
            arrays = with_signed_zeros(cell, kind, level) if zeros == "signed" else weights
            payload = encode_payload(
                arrays, codec=spec, self_contained=False, strict=zeros == "signed"
            )
            row = {
                "kind": kind,
                "level": level,
                "zeros": zeros,
                "codec": spec,
                "sparsity": 1 - kept / size,
                "dense_bytes": 4 * size,
                "payload_bytes": len(payload),
                "ratio": 4 * size / len(payload),
            }
            if not get_codec(spec).lossless:
                decoded = decode_payload(payload, template=Template.of(weights))
                change = cell.generate(decoded, labels_N) - outputs
                row["output_change"] = float(np.sqrt(np.mean(change**2)) / outputs.std())
            rows.append(row)
        write_text(path, json.dumps(rows))
    return rows


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
    dataset = cell.federation.dataset
    judge = SampleJudge(
        dataset.train,
        dataset.test,
        num_classes=dataset.num_classes,
        seed=JUDGE_SEED,
        max_samples=MAX_SAMPLES,
    )
    path = cell.folder / "quality.json"
    rows = kept_rows(path)
    known = {(row["kind"], row["level"], row["codec"]) for row in rows}
    if not known:
        rows.append({"kind": "real", "level": 0, "codec": LOSSLESS, **judge.real_scores})
    labels_N = cell.draw_labels(min(MAX_SAMPLES, len(dataset.train)))
    seed = derive_seed(cell.seed, "study-judge")
    for kind, level, codec in scorings(cell):
        if (kind, level, codec) not in known and cell.path(kind, level).exists():
            x_NTC = cell.generate(_coded(cell, kind, level, codec), labels_N)
            scores = judge.score(x_NTC, labels_N, seed=seed)
            rows.append({"kind": kind, "level": level, "codec": codec, **scores})
            write_text(path, json.dumps(rows))
    return rows


def _coded(cell: "Case", kind: str, level: int, codec: str) -> Weights:
    """Return the weights as a receiver decodes them."""
    weights = cell.load(kind, level)
    if codec == LOSSLESS:
        return weights
    return decode_payload(encode_payload(weights, codec=codec), template=Template.of(weights))
