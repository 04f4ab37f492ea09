"""Effect of the paper's formulas, as printed and as meant, on weights and bytes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.papers.fl_compression_comparison.setting import DENSE_BYTES
from flwr_gan.app.classifier.network import measure
from flwr_gan.gan import load_network_arrays, network_arrays
from flwr_gan.wire import encode_payload

Weights = NDArray[np.float32]
BITS = 8
SPECS = (
    "raw", "zlib:6", "sparse",
    "quantize:int8:layer+raw", "quantize:int8:layer+zlib:6", "quantize:int8:layer+sparse",
)  # fmt: skip


def mask_as_meant(weights: Weights, amount: float) -> Weights:
    """Return weights with ``|w| > tau``, Eq. 2; tau is a percentile of ``|w|``."""
    kept = np.abs(weights) > _threshold(weights, amount)
    pruned: Weights = np.where(kept, weights, np.float32(0))
    return pruned


def mask_as_printed(weights: Weights, amount: float) -> Weights:
    """Return weights with ``w > tau``, algorithm 1: no negative weight is left."""
    kept = weights > _threshold(weights, amount)
    pruned: Weights = np.where(kept, weights, np.float32(0))
    return pruned


def scale_as_meant(weights: Weights) -> Weights:
    """Return weights after Eq. 6 with scale ``(2^(k-1) - 1) / max|w|``: codes -127 to 127."""
    scale = (2 ** (BITS - 1) - 1) / np.abs(weights).max()
    rounded: Weights = (np.rint(weights * scale) / scale).astype(np.float32)
    return rounded


def scale_as_printed(weights: Weights) -> Weights:
    """Return weights after Eq. 5 and 6 as printed, in the 8 bits of qint8.

    The scale ``(2^k - 1) / max|w|`` gives codes from -255 to 255; codes beyond -128 and 127
    saturate, as in PyTorch.
    """
    scale = (2**BITS - 1) / np.abs(weights).max()
    codes = np.clip(np.rint(weights * scale), -128, 127)
    rounded: Weights = (codes / scale).astype(np.float32)
    return rounded


def compare_formulas(
    network: nn.Module, x_NI: Tensor, y_N: Tensor, *, amount: float
) -> pd.DataFrame:
    """Return the effect of each formula on a network's weight matrices, which are then restored.

    Accuracy and loss are measured on the N samples.
    """
    trained = network_arrays(network)
    formulas = {
        "trained weights": lambda w: w,
        "|w| > tau": lambda w: mask_as_meant(w, amount),
        "w > tau, as printed": lambda w: mask_as_printed(w, amount),
        "8 bits, scale 127 / max|w|": scale_as_meant,
        "8 bits, scale 255 / max|w|, as printed": scale_as_printed,
    }
    weights = {key: array for key, array in trained.items() if array.ndim == 2}
    rows = []
    for name, formula in formulas.items():
        changed = {key: formula(array) for key, array in weights.items()}
        pairs = [(array, changed[key]) for key, array in weights.items()]
        count = sum(a.size for a, _ in pairs)
        load_network_arrays(network, trained | changed)
        accuracy, loss = measure(network, x_NI, y_N)
        rows.append(
            {
                "formula": name,
                "zeros": sum(int((b == 0).sum()) for _, b in pairs) / count,
                "largest_error": max(
                    float(np.abs(b - a).max() / np.abs(a).max()) for a, b in pairs
                ),
                "test_accuracy": accuracy,
                "test_loss": loss,
            }
        )
    load_network_arrays(network, trained)
    return pd.DataFrame(rows)


def compare_codecs(upload: Mapping[str, Any]) -> pd.DataFrame:
    """Return measured bytes of one upload under each codec by itself."""
    rows = []
    for spec in SPECS:
        size = len(encode_payload(upload, codec=spec, self_contained=False))
        rows.append({"codec": spec, "payload_bytes": size, "ratio": size / DENSE_BYTES})
    return pd.DataFrame(rows)


def _threshold(weights: Weights, amount: float) -> np.float32:
    return np.float32(np.percentile(np.abs(weights), 100 * amount))
