#!/usr/bin/env bash
# ml_dtypes 0.6.0 and numpy 2.4.6: sum and mean of int4 arrays, as quantised weights are held.
#
# Guess: numpy sums small integers in a wide one and takes means in float64, as it does for int8.
# Behaviour: int4 is no integer to numpy's rules. Sums wrap in four bits, the mean divides a wrapped
# sum and is an int4 itself. No warning is given. uint4, int2 and uint2 do the same.
# Output seen: "10 ones: sum -6, mean 0 (int4); as int8: sum 10, mean 1.0"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check ml_dtypes==0.6.0 numpy==2.4.6
"$place/venv/bin/python" - <<'PY'
import ml_dtypes
import numpy as np

ones = np.ones(10, ml_dtypes.int4)
total, mean = np.sum(ones), np.mean(ones)
wide = ones.astype(np.int8)
print(
    f"10 ones: sum {total}, mean {mean} ({mean.dtype}); "
    f"as int8: sum {np.sum(wide)}, mean {np.mean(wide)}"
)
assert np.sum(wide) == 10 and np.mean(wide) == 1
assert int(total) == -6, "sums of int4 are wider now: this finding is out of date"
assert int(mean) == 0
PY
