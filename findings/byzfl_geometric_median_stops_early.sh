#!/usr/bin/env bash
# byzfl 0.0.11: GeometricMedian with its defaults, for ten clients of which one is out of line.
#
# Guess: the geometric median of nine clients at 100 and one at 0 is 100. It follows the unit: updates times 0.001 give
# the result times 0.001, and an outlier is outvoted at any size.
# Behaviour: it starts at zero, divides by distances of at least nu=0.1, and stops after T=3 steps. A client that sends
# zeros sits on the start and has most of the weight: three steps come to 42, where the plain mean is 90 (T=10 is
# enough). The bound of 0.1 has a unit: where all updates are shorter, as small learning rates make them, all
# distances count as 0.1, and the result is the mean, whatever T is. One client of 20 times the length then makes the
# model's step.
# Output seen: "nine at 100, one at 0: 42, mean 90, T=10 100; one of 20 times the length: 0.32, updates times 0.001: 1.98,
# mean 1.98" (on one line)
#
# Only the aggregators are loaded, over numpy arrays; torch, which they do not use for these, is replaced by an empty name.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps byzfl==0.0.11
"$place/venv/bin/python" - <<'PY'
import importlib.util
import sys
import types

import numpy as np

for name in ("torch", "torch.linalg", "byzfl"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["torch"].linalg = sys.modules["torch.linalg"]
sys.modules["byzfl"].__path__ = [f"{path}/byzfl" for path in sys.path if "site-packages" in path]
from byzfl.aggregators.aggregators import GeometricMedian

models = np.full((10, 1), 100.0)
models[0] = 0
found = GeometricMedian()(models).item()
long = GeometricMedian(T=10)(models).item()
print(f"nine at 100, one at 0: {found:.0f}, mean {models.mean():.0f}, T=10 {long:.0f}", end="; ")

updates = np.random.default_rng(0).normal(size=(10, 50)) / 50**0.5
updates[0] = 20 / 50**0.5
lengths = {}
for size in (1.0, 0.001):
    lengths[size] = np.linalg.norm(GeometricMedian(T=100)(updates * size)) / size
mean = np.linalg.norm(updates.mean(axis=0))
print(f"one of 20 times the length: {lengths[1.0]:.2f}, updates times 0.001: {lengths[0.001]:.2f}, mean {mean:.2f}")
assert long > 99.9 and lengths[1.0] < 0.4
assert found < 50, "three steps are enough now: this finding is out of date"
assert lengths[0.001] > 0.95 * mean, "small updates have a median now: this finding is out of date"
PY
