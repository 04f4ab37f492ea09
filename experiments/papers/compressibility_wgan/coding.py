"""Bytes of every generator of one cell under every codec, with zeros as the paper left them too."""

from typing import Any

import numpy as np

from experiments.benchmarks.codecs import GENERAL, QUANTISED, SPARSE, installed
from experiments.papers.compressibility_wgan.cell import Cell
from experiments.papers.compressibility_wgan.rows import Rows
from flwr_gan.gan import network_arrays
from flwr_gan.prune.pruner import Weights
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.template import Template

KEY = ("level", "zeros", "codec")
LABELS_FOR_OUTPUT = 2000


def codings() -> list[tuple[str, str]]:
    """Return kind of zeros and codec of each coding; ``sparse`` has no use for signed zeros."""
    specs = installed((*GENERAL, *SPARSE, *QUANTISED))
    signed = [spec for spec in specs if not spec.startswith("sparse")]
    return [*(("signed", spec) for spec in signed), *(("canonical", spec) for spec in specs)]


def code_generators(cell: Cell) -> list[dict[str, Any]]:
    """Code the generator after each pruning, as Alg. 2 returns it; return a row a coding."""
    rows = Rows(cell.folder / "codecs.csv", KEY)
    labels_N = cell.draw_labels(LABELS_FOR_OUTPUT)
    for level in cell.levels:
        weights = cell.load("pruned" if level else "retrained", level)
        outputs = None
        for zeros, spec in codings():
            key = (level, zeros, spec)
            if key not in rows:
                arrays = with_signed_zeros(cell, level) if zeros == "signed" else weights
                payload = encode_payload(
                    arrays, codec=spec, self_contained=False, strict=zeros == "signed"
                )
                row: dict[str, Any] = {
                    "sparsity": 1 - nonzero(weights) / size(weights),
                    "dense_bytes": 4 * size(weights),
                    "payload_bytes": len(payload),
                    "ratio": 4 * size(weights) / len(payload),
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


def with_signed_zeros(cell: Cell, level: int) -> Weights:
    """Return the generator after ``level`` prunings as a product with its mask leaves it.

    A weight that was pruned is +0.0 or -0.0 after its sign before: that of the trained weight in
    the pruning that removed it last, that of the initial weight (which the reset of Alg. 2,
    line 11, multiplies with the mask again) in all earlier ones.
    """
    if level == 0:
        return cell.load("retrained", 0)
    generator, _ = cell.federation.networks(cell.seed)
    initial = network_arrays(generator)
    trained, pruned = cell.load("retrained", level - 1), cell.load("pruned", level)
    # trained weights hold +0.0 where an earlier pruning removed them
    signs = {name: np.where(trained[name] != 0, trained[name], initial[name]) for name in trained}
    return {
        name: np.where(kept != 0, kept, np.copysign(np.float32(0), signs[name]))
        for name, kept in pruned.items()
    }


def layer_rows(cell: Cell) -> list[dict[str, Any]]:
    """Return weights and kept weights of each layer after each pruning."""
    return [
        {"level": level, "layer": name, "weights": array.size, "kept": int((array != 0).sum())}
        for level in cell.levels[1:]
        for name, array in cell.load("pruned", level).items()
    ]


def size(weights: Weights) -> int:
    """Return how many weights there are."""
    return sum(array.size for array in weights.values())


def nonzero(weights: Weights) -> int:
    """Return how many weights are not zero."""
    return sum(int(np.count_nonzero(array)) for array in weights.values())
