"""The model, a dict of arrays, and its data."""

import numpy as np

FEATURES, OUTPUTS = 40, 20


def initial():
    """Return the arrays that training begins with."""
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.1, (FEATURES, OUTPUTS)).astype(np.float32)
    weights[np.abs(weights) < 0.08] = 0
    return {"weights": weights, "bias": np.zeros(OUTPUTS, np.float32), "steps": np.array(0)}


def trained(arrays, partition):
    """Return the arrays after a few steps on the data of a partition."""
    rng = np.random.default_rng(partition)
    x = rng.normal(size=(64, FEATURES)).astype(np.float32)
    y = x @ (np.arange(FEATURES * OUTPUTS).reshape(FEATURES, OUTPUTS) % 7 / 7).astype(np.float32)
    weights, bias, steps = arrays["weights"].copy(), arrays["bias"].copy(), int(arrays["steps"])
    mask = weights != 0
    for _ in range(5):
        error = (x @ weights + bias - y) / len(x)
        weights -= 0.1 * (x.T @ error) * mask
        bias -= 0.1 * error.sum(0)
    return {"weights": weights, "bias": bias, "steps": np.array(steps + 5)}
