#!/usr/bin/env bash
# pandas 3.1.1 with numexpr 2.14.2 (which blosc2 brings along): a query on a column that is called "round".
#
# Guess: DataFrame.query gives the same rows whether or not numexpr, an optional accelerator, is installed;
# a column's name stands before any function's.
# Behaviour: numexpr 2.14 has a function round, and numexpr's names win. "round > 1" raises a TypeError that
# speaks of a function; "round == 2" asks whether that function is 2 and finds no row, without a word. The same
# queries with engine="python", or where numexpr is not installed, find the rows. Tables of federated runs have
# such a column.
# Output seen: "round > 1: TypeError: '>' not supported between instances of 'function' and 'int'; round == 2: []"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check pandas==3.1.1 numexpr==2.14.2 numpy==2.4.6
"$place/venv/bin/python" - <<'PY'
import pandas as pd

table = pd.DataFrame({"round": [1, 2, 3], "bytes": [10, 20, 30]})
assert table.query("round == 2", engine="python")["round"].tolist() == [2]
try:
    above = table.query("round > 1")["round"].tolist()
except TypeError as error:
    above = f"TypeError: {error}"
equal = table.query("round == 2")["round"].tolist()
print(f"round > 1: {above}; round == 2: {equal}")
assert str(above).startswith("TypeError") and equal == [], "the column keeps its name now: out of date"
PY
