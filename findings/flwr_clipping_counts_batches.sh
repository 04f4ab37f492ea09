#!/usr/bin/env bash
# flwr 1.42.0: DifferentialPrivacyServerSideFixedClipping and the state_dict of a PyTorch model with BatchNorm.
#
# Guess: an update of length 2 is clipped to the bound of 1, half of it. BatchNorm's num_batches_tracked, a counter,
# is left out, or is clipped with the rest, or is refused as an integer.
# Behaviour: the counter is part of the length: after 50 batches the update is 50 long, and the weights are scaled by
# 1/50. The counter itself is not: the difference of two arrays without a dimension is a numpy scalar, which cannot be
# scaled in place. So the model keeps 2 % of its step where 50 % were due, less the more batches a client trains, the
# noise stays made for a bound of 1, and what leaves the clipping is 50 long. The mods on the client's side clip by
# the same function. An integer array of shape (1,) raises UFuncTypeError instead, once its update is over the bound.
# Output seen: "length of the weights' change: 1.000 without the counter, 0.040 with it; the counter moved by 50"
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
grid = SimpleNamespace(get_node_ids=lambda: range(2, 4))


def record(arrays):
    return ArrayRecord({name: Array(value) for name, value in arrays.items()})


def one_round(start, trained):
    rule = strategy.DifferentialPrivacyServerSideFixedClipping(
        strategy.FedAvg(), noise_multiplier=0, clipping_norm=1, num_sampled_clients=2
    )
    replies = []
    for message in rule.configure_train(1, record(start), ConfigRecord(), grid):
        content = {"arrays": record(trained), "m": MetricRecord({"num-examples": 1})}
        replies.append(Message(RecordDict(content), reply_to=message))
    model, _ = rule.aggregate_train(1, replies)
    return {name: model[name].numpy() - start[name] for name in start}


# What ArrayRecord(model.state_dict()) holds for a layer of 16 weights and for a BatchNorm's counter.
start = {"0.weight": np.ones((4, 4), np.float32), "1.num_batches_tracked": np.array(0)}
trained = {"0.weight": np.full((4, 4), 1.5, np.float32), "1.num_batches_tracked": np.array(50)}
plain = one_round({"0.weight": start["0.weight"]}, {"0.weight": trained["0.weight"]})
both = one_round(start, trained)
lengths = [float(np.linalg.norm(change["0.weight"])) for change in (plain, both)]
counter = float(both["1.num_batches_tracked"])
print(
    f"length of the weights' change: {lengths[0]:.3f} without the counter, {lengths[1]:.3f} with it; "
    f"the counter moved by {counter:.0f}"
)
assert abs(lengths[0] - 1) < 1e-4
assert lengths[1] < 0.05 and counter == 50, "the counter is left out or clipped now: this finding is out of date"
PY
