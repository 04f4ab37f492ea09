#!/usr/bin/env bash
# flwr 1.42.0: robust strategies and one client of ten whose weights are not a number.
#
# Guess: FedMedian, which is there for clients that send anything, ignores one bad value in ten, as it ignores
# one of 1e6; so does clipping, which bounds what a client can do.
# Behaviour: the median is numpy's, and NaN wins: one client's NaN becomes the whole model's, without a word.
# FedTrimmedAvg sorts, NaN comes last and is cut off: its model stays whole. With 1e6 in place of NaN both are right.
# Output seen: "1e+06: FedMedian 1.0, FedTrimmedAvg 1.0; nan: FedMedian nan, FedTrimmedAvg 1.0"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
FLWR_TELEMETRY_ENABLED=0 "$place/venv/bin/python" - <<'PY'
import logging
import math

import numpy as np
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedMedian, FedTrimmedAvg

logging.getLogger("flwr").setLevel(logging.ERROR)


def model(strategy, bad):
    replies = [np.full(3, bad if at == 4 else 1.0, np.float32) for at in range(10)]
    status = Status(Code.OK, "")
    results = [(None, FitRes(status, ndarrays_to_parameters([w]), 1, {})) for w in replies]
    averaged, _ = strategy.aggregate_fit(1, results, [])
    return float(parameters_to_ndarrays(averaged)[0][0])


found = {
    bad: [model(FedMedian(), bad), model(FedTrimmedAvg(beta=0.2), bad)] for bad in (1e6, math.nan)
}
print("; ".join(f"{bad:g}: FedMedian {m}, FedTrimmedAvg {t}" for bad, (m, t) in found.items()))
assert found[1e6] == [1.0, 1.0]
median, trimmed = found[math.nan]
assert math.isnan(median) and trimmed == 1.0, "FedMedian stands NaN now: this finding is out of date"
PY
