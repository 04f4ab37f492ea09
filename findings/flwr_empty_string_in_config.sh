#!/usr/bin/env bash
# flwr 1.42.0: ConfigRecord.count_bytes() and an empty string.
#
# Guess: an empty string counts 0 bytes, as the method counts the length of strings.
# Behaviour: it raises ValueError, "Config values must be either `bool`, `int`, `float`, `str`, or
# `bytes`", although "" is a str. message_size_mod calls it for every record, so a client whose reply
# holds one empty string or empty bytes fails in each round as soon as that mod is listed.
# Output seen: "ValueError for '' and b'', 6 for 'abc'" (the key has 3 letters)
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check flwr==1.42.0
FLWR_TELEMETRY_ENABLED=0 "$place/venv/bin/python" - <<'PY'
from flwr.app import ConfigRecord

refused = []
for value in ("", b""):
    record = ConfigRecord({"key": value})
    try:
        record.count_bytes()
    except ValueError:
        refused.append(value)
size = ConfigRecord({"key": "abc"}).count_bytes()
print(f"ValueError for {' and '.join(map(repr, refused))}, {size} for 'abc'")
assert refused == ["", b""], "flwr counts empty values now: this finding is out of date"
assert size == 6
PY
