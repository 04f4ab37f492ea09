#!/usr/bin/env bash
# nvflare 2.9.0: ModelQuantizer with quantization_type="adaquant", over the change of a model (WEIGHT_DIFF).
#
# Guess: the number of levels follows the spread of a tensor against its mean or its size, so the relative error does
# not depend on the unit: a change times 0.1 is coded as well as before. At worst a tensor has one bit a value.
# Behaviour: the number of levels is the root of the range itself. Between a range of 9e-4 and 2.2e-4 there is one
# bit, and the error is several times the change. Below 2.2e-4 there are no levels at all: codes are multiplied by 0,
# and the way back divides by 0. The whole layer comes back as NaN, and nothing is raised or logged. Changes of that size
# are what a small learning rate sends. A layer that is zero throughout has a case of its own and comes back.
# Output seen: "deviation 1e-02: error 7%, NaN 0%; 1e-03: error 30%, NaN 0%; 1e-04: error 282%, NaN 0%; 1e-05: error nan%, NaN 100%"
#
# bitsandbytes, which only the other quantization types use, is replaced by an empty name.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check nvflare==2.9.0 torch==2.13.0 numpy==2.4.6
cd "$place" && OMP_NUM_THREADS=1 "$place/venv/bin/python" -W ignore - <<'PY'
import sys
from unittest.mock import MagicMock

sys.modules["bitsandbytes"] = sys.modules["bitsandbytes.functional"] = MagicMock()
import numpy as np
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_opt.pt.quantization.dequantizer import ModelDequantizer
from nvflare.app_opt.pt.quantization.quantizer import ModelQuantizer

normal = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
changes = {f"{size:.0e}": normal * np.float32(size) for size in (1e-2, 1e-3, 1e-4, 1e-5)}
sent = DXO(DataKind.WEIGHT_DIFF, data=dict(changes))
for step in (ModelQuantizer("adaquant"), ModelDequantizer()):
    sent = step.process_dxo(sent, Shareable(), FLContext())
errors, parts = {}, []
for size, change in changes.items():
    back = sent.data[size]
    assert back.shape == change.shape and back.dtype == np.float32
    errors[size] = np.linalg.norm(back - change) / np.linalg.norm(change)
    parts.append(f"{size}: error {errors[size]:.0%}, NaN {np.isnan(back).mean():.0%}")
print("deviation " + "; ".join(parts))
assert errors["1e-02"] < 0.1
assert errors["1e-04"] > 1, "one bit is no longer all that there is: this finding is out of date"
assert np.isnan(sent.data["1e-05"]).all(), "small changes survive now: this finding is out of date"
PY
