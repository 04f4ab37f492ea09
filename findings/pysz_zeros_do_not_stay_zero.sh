#!/usr/bin/env bash
# pysz 1.1.0 (SZ3): a pruned float32 tensor under an absolute error bound of 0.001.
#
# Guess: zero is the easiest value there is, so what was pruned is exactly zero after decompression and
# a mask can be read from the result.
# Behaviour: a value is predicted from decompressed neighbours and corrected in whole steps of 0.002,
# so after the first nonzero value nothing falls on zero again. Of 95 % zeros almost none is left, each
# is some 1e-7, well in the bound. Without prediction (NOPRED) all stay, in fewer bytes.
# Output seen: "zeros before 95.5%, after 0.0% (10378 bytes); with NOPRED 95.5% (7885 bytes)"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check pysz==1.1.0 numpy==2.4.6
"$place/venv/bin/python" - <<'PY'
import numpy as np
from pysz import sz, szAlgorithm, szConfig, szErrorBoundMode

weights = (np.random.default_rng(0).standard_normal(100_000) * 0.02).astype(np.float32)
pruned = np.where(np.abs(weights) > 0.04, weights, np.float32(0))


def after(algorithm=None):
    config = szConfig(pruned.shape)
    config.errorBoundMode, config.absErrorBound = szErrorBoundMode.ABS, 1e-3
    if algorithm is not None:
        config.cmprAlgo = algorithm
    coded, _ = sz.compress(pruned, config)
    decoded, _ = sz.decompress(coded, pruned.dtype, pruned.shape)
    assert np.abs(decoded - pruned).max() <= 1.001e-3
    return np.mean(decoded == 0), coded.size


before, (left, size), (plain, plain_size) = np.mean(pruned == 0), after(), after(szAlgorithm.NOPRED)
print(
    f"zeros before {before:.1%}, after {left:.1%} ({size} bytes); "
    f"with NOPRED {plain:.1%} ({plain_size} bytes)"
)
assert plain >= before
assert left < 0.01, "SZ3 keeps zeros now: this finding is out of date"
PY
