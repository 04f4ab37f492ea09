#!/usr/bin/env bash
# flwr 1.42.0 and xgboost-cpu 3.2.0: FedXgbBagging over regression with clients of unlike labels.
#
# Guess: trees of all clients are added up, so the merged model does not depend on who replies first.
# Behaviour: xgboost sets base_score to the mean label of each client and fits trees to what is left.
# The merge keeps all trees and the base_score of the first reply. With labels around 0 at one client
# and around 10 at the other, predictions are near 0 or near 10, decided by the order of arrival.
# Output seen: "mean prediction 0.5 in one order, 10.5 in the other"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0 xgboost-cpu==3.2.0
FLWR_TELEMETRY_ENABLED=0 "$place/venv/bin/python" - <<'PY'
import numpy as np
import xgboost
from flwr.serverapp.strategy.strategy_utils import aggregate_bagging

inputs = np.random.default_rng(0).uniform(size=(200, 2))


def trained(offset):
    data = xgboost.DMatrix(inputs, label=inputs[:, 0] + offset)
    booster = xgboost.train({"objective": "reg:squarederror", "nthread": 1}, data, 1)
    return bytes(booster.save_raw("json"))


def mean_prediction(*replies):
    merged = b""
    for reply in replies:
        merged = aggregate_bagging(merged, reply)
    booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(merged))
    return round(float(booster.predict(xgboost.DMatrix(inputs)).mean()), 1)


low, high = trained(0), trained(10)
one, other = mean_prediction(low, high), mean_prediction(high, low)
print(f"mean prediction {one} in one order, {other} in the other")
assert other - one > 9, "the order of replies counts no longer: this finding is out of date"
PY
