#!/usr/bin/env bash
# tensorstore 0.1.86 with ml_dtypes 0.6.0: the mean over clients of float8 weights, by downsample(..., "mean").
#
# Guess: ten clients that send the weights 1, 2, 4, 8, stacked, give 1, 2, 4, 8, as in bfloat16: each is exact in all
# float8 types. At worst a type is refused. Minimum, median and maximum only pick values, and are right in any case.
# Behaviour: the mean is 0, whatever the values, in every float8 type, and in float4, without a word. Minimum and
# maximum are NaN in float8_e4m3fn and the three "fnuz" types, and right in float8_e5m2 and float8_e3m4. The median
# is right. A stored zarr3 array behind the driver "downsample" fares the same. bfloat16, float16 and int4 are right.
# Output seen: "mean: bfloat16 [1.0, 2.0, 4.0, 8.0]; float8_e4m3fn, ... , float4_e2m1fn: [0.0, 0.0, 0.0, 0.0]" and
# "float8_e4m3fn: from a store [0.0, 0.0, 0.0, 0.0], median [1.0, 2.0, 4.0, 8.0], max [nan, nan, nan, nan]"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check tensorstore==0.1.86 ml_dtypes==0.6.0 numpy==2.4.6
"$place/venv/bin/python" - "$place/store" <<'PY'
import sys

import ml_dtypes
import numpy as np
import tensorstore as ts

NARROW = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e3m4"]


def merged(name, method="mean", largest=8):
    clients = np.tile(np.float32([1, 2, 4, largest]), (10, 1)).astype(getattr(ml_dtypes, name))
    found = ts.downsample(ts.array(clients), [10, 1], method).read().result()
    assert found.dtype == clients.dtype and found.shape == (1, 4)
    return found.astype(np.float32)[0].tolist()


wide = merged("bfloat16")
means = {name: merged(name) for name in NARROW} | {"float4_e2m1fn": merged("float4_e2m1fn", largest=6)}
print(f"mean: bfloat16 {wide}; {', '.join(means)}: {means['float8_e4m3fn']}")

base = {"driver": "zarr3", "kvstore": {"driver": "file", "path": sys.argv[1]}}
store = ts.open(base, create=True, dtype=ts.float8_e4m3fn, shape=[10, 4]).result()
store.write(np.tile(np.float32([1, 2, 4, 8]), (10, 1)).astype(ml_dtypes.float8_e4m3fn)).result()
view = {"driver": "downsample", "downsample_factors": [10, 1], "downsample_method": "mean", "base": base}
stored = ts.open(view).result().read().result().astype(np.float32)[0].tolist()
median, largest = merged("float8_e4m3fn", "median"), merged("float8_e4m3fn", "max")
print(f"float8_e4m3fn: from a store {stored}, median {median}, max {largest}")
assert wide == median == merged("float8_e5m2", "max") == [1, 2, 4, 8]
assert stored == [0] * 4 and all(mean == [0] * 4 for mean in means.values()), (
    "float8 is averaged now: this finding is out of date"
)
assert np.isnan(largest).all() and np.isnan(merged("float8_e5m2fnuz", "min")).all()
PY
