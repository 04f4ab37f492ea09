"""Real weights of a pruned generator, where the machine has them."""

import os
from pathlib import Path

import numpy as np
import pytest


def _layers(flat):
    first, second = 2560 * 103, 2560 * 103 + 128 * 256 * 3
    return {
        "fc": flat[:first].reshape(2560, 103),
        "conv1": flat[first:second].reshape(128, 256, 3),
        "conv2": flat[second:].reshape(3, 128, 3),
    }


@pytest.fixture(scope="session")
def generator():
    """``generator("p17")``: the layers of a generator after 17 rounds of pruning."""
    folder = os.environ.get("FLWR_GAN_WEIGHTS")
    if not folder:
        pytest.skip("FLWR_GAN_WEIGHTS does not name a folder of generator weights")
    return lambda name: _layers(np.load(Path(folder) / f"generator_{name}.npy"))


@pytest.fixture(scope="session")
def ticket():
    """Return a small model as pruning leaves it, with a counter and a bias beside the weights."""
    rng = np.random.default_rng(7)
    fc = rng.normal(size=(24, 16)).astype(np.float32)
    conv = rng.normal(size=(8, 6, 3)).astype(np.float32)
    fc *= np.abs(fc) > 1.2
    conv *= np.abs(conv) > 0.8
    return {
        "fc": fc,
        "conv": conv,
        "bias": rng.normal(size=8).astype(np.float32),
        "steps": np.array(41),
        "flags": np.array([True, False, True]),
        "running": rng.normal(size=5),
    }
