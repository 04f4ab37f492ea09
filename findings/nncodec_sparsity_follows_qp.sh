#!/usr/bin/env bash
# nncodec 2.1.3: sparsity beside bitdepth, as in the examples of its README.
#
# Guess: where bitdepth says how values are coded, qp has no effect, and sparsity=0.5 leaves about
# half of a tensor, sparsity=0.8 about a fifth.
# Behaviour: everything below half the step of qp becomes zero first, and qp is -32 by default
# whatever bitdepth says. Of changes of 0.001, as in federated learning, 5 % are left, and both
# settings give the same bitstream. The same changes times 100 are left as guessed, 50 % and 20 %.
# Output seen: "changes of 0.001: 5% left, same bitstream: True; times 100: 50% and 20% left"
#
# It is compiled from source, which takes minutes; torchvision, which only its data sets need, is
# replaced by an empty name.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
pip() { "$place/venv/bin/python" -m pip install -q --disable-pip-version-check "$@"; }
pip --no-deps nncodec==2.1.3
pip numpy==1.26.4 torch==2.13.0 pandas==2.3.3 scikit-learn==1.9.1 h5py tqdm Click opencv-python==4.11.0.86
cd "$place" && "$place/venv/bin/python" - <<'PY'
import contextlib
import io
import sys
from unittest.mock import MagicMock

for name in ("torchvision", "torchvision.datasets", "torchvision.transforms"):
    sys.modules[name] = MagicMock()
import numpy as np
from nncodec.tensor import decode, encode

changes = (np.random.default_rng(0).standard_normal((128, 800)) * 1e-3).astype(np.float32)


def coded(tensor, sparsity):
    settings = {"bitdepth": 4, "use_dq": False, "sparsity": sparsity, "struct_spars_factor": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        stream = bytes(encode(tensor, settings))
        left = np.count_nonzero(decode(bytearray(stream))) / tensor.size
    return stream, left


(half, left), (fifth, _) = coded(changes, 0.5), coded(changes, 0.8)
large = [coded(100 * changes, sparsity)[1] for sparsity in (0.5, 0.8)]
print(
    f"changes of 0.001: {left:.0%} left, same bitstream: {half == fifth}; "
    f"times 100: {large[0]:.0%} and {large[1]:.0%} left"
)
assert half == fifth, "sparsity counts beside bitdepth now: this finding is out of date"
assert left < 0.1
assert large[0] > 1.5 * large[1]
PY
