#!/usr/bin/env bash
# flwr 1.42.0: FedAvg of the message API and a reply of another shape.
#
# Guess: a client whose array has the shape (1,) where the others have (3,) is an error, as a missing
# name is: the strategy checks replies for consistency before it adds them up.
# Behaviour: only names are checked. numpy spreads the one value over three, and the round goes on
# with a mean that no client has sent. In the other order, (1,) first, it raises from numpy.
# Output seen: "(3,) first: [3.0, 3.0, 3.0]; (1,) first: ValueError"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0
FLWR_TELEMETRY_ENABLED=0 "$place/venv/bin/python" - <<'PY'
import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import (
    aggregate_arrayrecords,
    validate_message_reply_consistency,
)


def reply(values):
    return RecordDict(
        {
            "arrays": ArrayRecord({"w": Array(np.array(values, np.float32))}),
            "metrics": MetricRecord({"num-examples": 1}),
        }
    )


long, short = reply([1, 1, 1]), reply([5])
validate_message_reply_consistency([long, short], "num-examples", check_arrayrecord=True)
mean = aggregate_arrayrecords([long, short], "num-examples")["w"].numpy().tolist()
try:
    aggregate_arrayrecords([short, long], "num-examples")
    other = "no error"
except ValueError:
    other = "ValueError"
print(f"(3,) first: {mean}; (1,) first: {other}")
assert mean == [3.0, 3.0, 3.0], "flwr refuses other shapes now: this finding is out of date"
assert other == "ValueError"
PY
