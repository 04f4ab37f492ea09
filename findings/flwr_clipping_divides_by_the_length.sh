#!/usr/bin/env bash
# flwr 1.42.0: DifferentialPrivacyServerSideFixedClipping and a client that sends the model back as it was.
#
# Guess: an update of length 0 is within any bound, so nothing is clipped and it counts as a zero in the mean. It comes
# from a client without batches, or one whose change was rounded away on its way.
# Behaviour: the bound is divided by the length of each update, and 0 is a Python float: ZeroDivisionError, on the
# server, in aggregate_train. One such client among ten and the round is lost, with the replies of the others. The
# shortest update that is not zero passes. The adaptive wrapper and the mods on the client's side use the same function.
# Output seen: "shortest change 1e-30: mean 0.225; no change: ZeroDivisionError"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
FLWR_TELEMETRY_ENABLED=0 "$place/venv/bin/python" - <<'PY'
import logging
from types import SimpleNamespace

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy
from flwr.supercore.task_identity import TaskIdentity

logging.getLogger("flwr").setLevel(logging.ERROR)
TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1
grid = SimpleNamespace(get_node_ids=lambda: range(2, 12))


def one_round(change):
    rule = strategy.DifferentialPrivacyServerSideFixedClipping(
        strategy.FedAvg(), noise_multiplier=0, clipping_norm=1, num_sampled_clients=10
    )
    model = ArrayRecord({"w": Array(np.zeros(4))})
    replies = []
    for number, message in enumerate(rule.configure_train(1, model, ConfigRecord(), grid)):
        trained = np.full(4, 0.25) if number else np.full(4, change)
        content = {"arrays": ArrayRecord({"w": Array(trained)}), "m": MetricRecord({"num-examples": 1})}
        replies.append(Message(RecordDict(content), reply_to=message))
    return float(rule.aggregate_train(1, replies)[0]["w"].numpy()[0])


small = one_round(1e-30)
try:
    found = one_round(0.0)
except ZeroDivisionError as error:
    found = type(error).__name__
print(f"shortest change 1e-30: mean {small:.3g}; no change: {found}")
assert abs(small - 0.225) < 1e-12
assert found == "ZeroDivisionError", "a client without a change is fine now: this finding is out of date"
PY
