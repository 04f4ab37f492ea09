#!/usr/bin/env bash
# safetensors 0.8.0 (and 0.7.0) with numpy 2.4.6: save of an array that is not in C order.
#
# Guess: a transposed weight comes back with the same values. At worst it is refused, as the torch half of the
# library refuses tensors that are not contiguous.
# Behaviour: 0.8.0 passes the memory on as it lies, with the shape of the view. The file is valid, names, shape and
# dtype are right, and the weights are in another order, without a word, for whoever loads it. 0.7.0 copied into C
# order first. weight.T and np.asfortranarray make such arrays. The docstring of both versions asks for contiguous
# arrays, and nothing checks it.
# Output seen: "0.7.0: [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]], the same: True" and
# "0.8.0: [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], the same: False"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
cat > "$place/transposed.py" <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

weight = np.arange(6, dtype=np.float32).reshape(2, 3).T
found = load(save({"weight": weight}))["weight"]
assert found.shape == weight.shape and found.dtype == weight.dtype
plain = load(save({"weight": np.ascontiguousarray(weight)}))["weight"]
assert np.array_equal(plain, weight)
same = np.array_equal(found, weight)
print(f"{safetensors.__version__}: {found.tolist()}, the same: {same}")
assert same is (sys.argv[1] == "kept"), "the order is handled otherwise now: this finding is out of date"
PY
for pair in "0.7.0 kept" "0.8.0 lost"; do
  read -r version expected <<< "$pair"
  "$place/venv/bin/python" -m pip install -q --disable-pip-version-check "safetensors==$version" numpy==2.4.6
  "$place/venv/bin/python" "$place/transposed.py" "$expected"
done
