#!/usr/bin/env bash
# blosc2 4.14.1 and ml_dtypes 0.6.0: pack_tensor of a bfloat16 array.
#
# Guess: it comes back as bfloat16, or packing is refused; at worst as two raw bytes a value, V2.
# Behaviour: the dtype travels as numpy's descr, which has no name for such types, and is read back as a
# record of no fields. The shape is right, each value is an empty tuple, and no warning is given. The
# bytes are all there: view(bfloat16) brings the values back. float8 and int4 fare the same.
# Output seen: "[(), (), (), ()], viewed as bfloat16: [0.0, 1.0, 2.0, 3.0]"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check blosc2==4.14.1 ml_dtypes==0.6.0 numpy==2.4.6
"$place/venv/bin/python" - <<'PY'
import blosc2
import ml_dtypes
import numpy as np

weights = np.arange(4, dtype=np.float32).astype(ml_dtypes.bfloat16)
found = blosc2.unpack_tensor(blosc2.pack_tensor(weights))
values = found.view(ml_dtypes.bfloat16).astype(np.float32).tolist()
print(f"{found.tolist()}, viewed as bfloat16: {values}")
assert values == [0, 1, 2, 3] and found.shape == (4,)
assert found.tolist() == [()] * 4, "bfloat16 survives now: this finding is out of date"
PY
