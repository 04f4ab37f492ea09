"""Lossless patches of weights with few changes, against hand-coded gaps and values.

``python -m experiments.benchmarks.patches [--short] [--output FILE]`` codes a million weights
relative to a base with ``sparse``. The hand-coded patch has the numbers of skipped weights as
positions, and as values the new weights (float32) or the changes in units in the last place
(bfloat16). Both are deflated, or coded by zstd at its highest level; ``by_hand`` names the shorter.
"""

import argparse
import sys
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import zstandard
from numpy.typing import NDArray

from experiments.benchmarks.output import run_benchmark
from experiments.benchmarks.wire_at_size import shortened
from flwr_gan.errors import FlwrGanError
from flwr_gan.wire import Template, decode_payload, encode_payload
from flwr_gan.wire.codecs.arrays import BFLOAT16

WEIGHTS, SHORT_WEIGHTS = 1_000_000, 50_000
DEVIATION, STEP = 0.02, 3.13e-6
"""Standard deviation of the weights, and an Adam step that changes 7.1 % of them in bfloat16."""

CASES = (("float32", 0.001), ("float32", 0.01), ("bfloat16", 0.071))
CODERS = {
    "deflate": lambda data: zlib.compress(data, 9),
    "zstd": zstandard.ZstdCompressor(level=22).compress,
}
_FAR = 255

Array = NDArray[Any]


def measure_all(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table of all cases."""
    count = SHORT_WEIGHTS if options.short else WEIGHTS
    yield "", pd.DataFrame([measure(*case, count=count) for case in CASES])


def measure(dtype: str, share: float, *, count: int) -> dict[str, object]:
    """Return the row of one case; in bfloat16 ``STEP`` determines the share."""
    held, new = moved(dtype, share, count=count)
    payload = encode_payload({"w": new}, base={"w": held}, self_contained=False)
    decoded = decode_payload(payload, template=Template.of({"w": new}), base={"w": held})["w"]
    if decoded.tobytes() != new.tobytes():
        raise FlwrGanError(f"a patch of {dtype} weights did not come back")
    name, by_hand = coded_by_hand(held, new)
    return {
        "dtype": dtype,
        "weights": count,
        "changed": float(np.mean(_bits(held) != _bits(new))),
        "payload_bytes": len(payload),
        "ratio": new.nbytes / len(payload),
        "by_hand": name,
        "by_hand_bytes": by_hand,
        "by_hand_ratio": new.nbytes / by_hand,
    }


def moved(dtype: str, share: float, *, count: int) -> tuple[Array, Array]:
    """Return weights before and after the change, shape (n,); see ``measure``."""
    rng = np.random.default_rng(0)
    held = rng.normal(0, DEVIATION, count).astype(np.float32)
    new = held.copy()
    if dtype == "float32":
        at = rng.choice(count, round(share * count), replace=False)
        new[at] = rng.normal(0, DEVIATION, len(at))
        return held, new
    new -= np.float32(STEP) * np.clip(rng.standard_normal(count, np.float32), -1, 1)
    return shortened(held, "bfloat16"), shortened(new, "bfloat16")


def coded_by_hand(held: Array, new: Array) -> tuple[str, int]:
    """Return the coder with the shorter result, and its bytes of gaps and values."""
    before, after = _bits(held), _bits(new)
    at = np.flatnonzero(before != after)
    values = after[at]
    if new.dtype == BFLOAT16:
        values = (after[at] - before[at]).view(np.int16)
        values = (values << 1 ^ values >> 15).astype(np.uint16)  # zigzag
    octets = values.view(np.uint8).reshape(len(at), -1)
    columns = [_gaps(at), *(octets[:, column].tobytes() for column in range(octets.shape[1]))]
    sizes = {name: sum(len(code(one)) for one in columns) for name, code in CODERS.items()}
    return min(sizes.items(), key=lambda item: item[1])


def _gaps(at: Array) -> bytes:
    """Return the numbers of skipped weights, one byte each, plus a byte 255 for each full 255."""
    gaps = np.diff(at, prepend=-1) - 1
    far = gaps // _FAR
    written = np.full(len(gaps) + int(far.sum()), _FAR, np.uint8)
    written[np.cumsum(far + 1) - 1] = gaps % _FAR
    return written.tobytes()


def _bits(weights: Array) -> Array:
    return weights.view(np.uint16 if weights.dtype == BFLOAT16 else np.uint32)


main = partial(run_benchmark, "patches", __doc__, measure_all, short="fewer weights")

if __name__ == "__main__":
    sys.exit(main())
