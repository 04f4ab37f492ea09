#!/usr/bin/env bash
# openfl 1.9: STCPipeline, sparse ternary compression of a client's change.
#
# Guess: as in the paper (Sattler et al.), the largest share p of the values become plus or minus their mean magnitude,
# the others zero. What is kept has the right size on average, whatever p is.
# Behaviour: the right values are kept, but the mean is taken over the whole tensor, with the zeros. Every value that
# is kept comes back p times its size: a tenth with the default p=0.1, a hundredth with p=0.01. The sparser
# the update, the smaller the step of the model, as if the learning rate had been multiplied by p.
# Output seen: "p=0.1: kept 0.100, mean magnitude 2.06 comes back as 0.21" (p=0.01: 2.86 as 0.029)
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check openfl==1.9 numpy==2.4.6
"$place/venv/bin/python" - <<'PY'
import numpy as np
from openfl.pipelines import STCPipeline

change = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
for p in (0.1, 0.01):
    pipeline = STCPipeline(p_sparsity=p)
    back = pipeline.backward(*pipeline.forward(change))
    kept = back != 0
    before, after = np.abs(change[kept]).mean(), np.abs(back[kept]).mean()
    print(f"p={p}: kept {kept.mean():.3f}, mean magnitude {before:.3g} comes back as {after:.2g}")
    assert abs(kept.mean() - p) < 0.001 and (np.sign(back) == np.sign(change))[kept].all()
    assert abs(after / before / p - 1) < 0.01, "the mean is that of what is kept: this finding is out of date"
PY
