#!/usr/bin/env bash
# p2pfl 0.4.4: PTQuantization with scheme="asymmetric", for layers whose values lie on one side of zero.
#
# Guess: a zero point is there for values that do not lie around zero: scales of a normalisation layer, between
# 0.9 and 1.1, come back within half a step of 0.2 / 255.
# Behaviour: the zero point is clamped to the codes of int8. It would lie outside whenever all values are on one
# side of zero, and then all that is beyond the width of their range, 0.2, is cut to it. Here that is everything: the
# layer comes back as 0.2 throughout, five times too small, and no error is raised. The same values around zero
# come back, and so does the layer in the symmetric scheme, within a step of 0.0086. uint8 does the same.
# Output seen: "asymmetric: 0.2 to 0.2, symmetric: 0.902 to 1.09 (was 0.9 to 1.1)"
#
# Only numpy and opendp are installed beside it: the compressors use nothing else of its dependencies.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check numpy==1.26.4 opendp==0.13.0
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps p2pfl==0.4.4
"$place/venv/bin/python" - <<'PY'
import numpy as np
from p2pfl.learning.compression import PTQuantization

layer = np.linspace(0.9, 1.1, 64, dtype=np.float32)
around = layer - 1  # the same values around zero


def back(values, scheme):
    quantizer = PTQuantization()
    return quantizer.reverse_strategy(*quantizer.apply_strategy([values], "int8", scheme))[0]


lost, whole = back(layer, "asymmetric"), back(layer, "symmetric")
print(
    f"asymmetric: {lost.min():.3g} to {lost.max():.3g}, "
    f"symmetric: {whole.min():.3g} to {whole.max():.3g} (was 0.9 to 1.1)"
)
assert np.abs(back(around, "asymmetric") - around).max() < 0.001
assert np.abs(whole - layer).max() < 0.01
assert np.abs(lost - 0.2).max() < 0.001, "the layer comes back now: this finding is out of date"
PY
