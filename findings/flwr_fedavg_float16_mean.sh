#!/usr/bin/env bash
# flwr 1.42.0: FedAvg of the message API over many float16 replies.
#
# Guess: the mean of 5,000 equal arrays of ones is 1, up to rounding; sums of averages are usually
# held in a wider type than what is averaged.
# Behaviour: replies are added up in float16 with weights of 1/5000. From a sum of one half on each
# summand is less than half the spacing of float16 there and is lost, so the mean is 0.5.
# Output seen: "float16: 0.5  float32: 1.0" (float32 to three digits)
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0
FLWR_TELEMETRY_ENABLED=0 "$place/venv/bin/python" - <<'PY'
import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords


def mean(dtype):
    reply = RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.ones(3, dtype))}),
            "metrics": MetricRecord({"num-examples": 1}),
        }
    )
    found = aggregate_arrayrecords([reply] * 5000, "num-examples")["w"].numpy()
    return round(float(found[0]), 4)


half, single = mean(np.float16), mean(np.float32)
print(f"float16: {half}  float32: {single}")
assert half == 0.5, "flwr adds up float16 otherwise now: this finding is out of date"
assert abs(single - 1) < 0.001
PY
