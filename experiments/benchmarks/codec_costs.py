"""Measure the cost of encoding and decoding, for the table of ``codec=auto:MBITS``.

``python -m experiments.benchmarks.codec_costs`` codes random pruned layers of several sizes and
densities, fits seconds and bytes, and prints the rows of ``flwr_gan.wire.codecs.auto.COSTS``.
Seconds are processor seconds, with numba's loops if numba is installed.
"""

from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from experiments.benchmarks.output import processor_s
from flwr_gan.wire import Template, decode_payload, encode_payload
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.auto import COSTS

SIZES = (1_000, 30_000, 300_000, 1_000_000)
DENSITIES = (1.0, 0.3, 0.1, 0.03, 0.01)
REPEATS = 5


def main() -> None:
    """Measure, fit and print."""
    compiled.load()
    rng = np.random.default_rng(0)
    layers = []
    for size in SIZES:
        values = rng.laplace(size=size).astype(np.float32)
        for density in DENSITIES:
            least = np.quantile(np.abs(values), 1 - density)
            layers.append(np.where(np.abs(values) >= least, values, np.float32(0)))
    places = np.array([layer.size for layer in layers])
    kept = np.array([np.count_nonzero(layer) for layer in layers])
    share = kept / places
    with np.errstate(divide="ignore", invalid="ignore"):
        bits = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    mask_bytes = places * np.nan_to_num(bits) / 8
    for cost in COSTS:
        rows = [_measured(layer, cost.spec) for layer in layers]
        seconds = np.array([row[0] for row in rows])
        lengths = np.array([row[1] for row in rows])
        # Fit relative errors, or else only the largest layers would matter.
        known = np.stack([np.ones(len(places)), places, kept], axis=1)
        call, place, survivor = nnls(known / seconds[:, None], np.ones(len(places)))[0]
        parts = np.stack([mask_bytes, kept], axis=1)
        factor, each = nnls(parts / lengths[:, None], np.ones(len(places)))[0]
        worst = max(abs(known @ [call, place, survivor] / seconds - 1))
        print(
            f"Cost({cost.spec!r}, {1e6 * call:.0f}, {1e9 * place:.2f}, {1e9 * survivor:.1f}, "
            f"{factor:.2f}, {each:.2f}),  # seconds within {worst:.0%}"
        )


def _measured(layer: NDArray[Any], spec: str) -> tuple[float, int]:
    arrays = {"w": layer}
    template = Template.of(arrays)
    payload = encode_payload(arrays, codec=spec, self_contained=False)

    def both_ways() -> None:
        again = encode_payload(arrays, codec=spec, self_contained=False)
        decode_payload(again, template=template)

    return median(processor_s(both_ways) for _ in range(REPEATS)), len(payload)


if __name__ == "__main__":
    main()
