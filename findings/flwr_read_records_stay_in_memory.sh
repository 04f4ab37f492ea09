#!/usr/bin/env bash
# flwr 1.42.0: what becomes of a message's arrays after they were read with `content.array_records`.
#
# Guess: `array_records` is a view. When the message's content is dropped, reference counts free it at once, with its arrays.
# Behaviour: the view holds a bound method of its own (its check of values) beside the RecordDict. It refers to itself, so only a full run of the cycle collector frees it, and with it the arrays. A process that imported torch and flwr has half
# a million objects, and a full run comes when a quarter as many are new: a server that reads replies grows for hundreds of rounds.
# `content["arrays"]` makes no view, and frees at once.
# Output seen: "dropped after content['arrays']: 0 of 20 alive; after content.array_records['arrays']: 20 of 20 alive, 0 after gc.collect()"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0 numpy==2.4.6
export FLWR_TELEMETRY_ENABLED=0 FLWR_HOME="$place/home"
cd "$place"
venv/bin/python - <<'PY'
import gc
import weakref

import numpy as np
from flwr.app import ArrayRecord, RecordDict

COUNT = 20
gc.collect()
gc.disable()  # what the collector would do now and then is not what is looked at


def alive(read):
    """Return how many of the records are alive after their messages' contents were read and dropped."""
    kept = []
    for _ in range(COUNT):
        record = ArrayRecord([np.zeros(1000, np.float32)])
        content = RecordDict({"arrays": record})  # what a message holds
        assert len(read(content)) == 1
        kept.append(weakref.ref(record))
        del content, record
    return kept


def count(references):
    return sum(reference() is not None for reference in references)


by_name = count(alive(lambda content: content["arrays"]))
references = alive(lambda content: content.array_records["arrays"])
by_view = count(references)
gc.collect()
later = count(references)
print(
    f"dropped after content['arrays']: {by_name} of {COUNT} alive; "
    f"after content.array_records['arrays']: {by_view} of {COUNT} alive, {later} after gc.collect()"
)
assert (by_name, by_view, later) == (0, COUNT, 0), "views free their messages now: this finding is out of date"
PY
