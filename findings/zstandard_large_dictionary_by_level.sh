#!/usr/bin/env bash
# zstandard 0.25.0: the model of the last round as a raw dictionary for the model of this one.
#
# Guess: a level trades time for a few percent. A megabyte of which 250 bytes differ from a dictionary of
# a megabyte takes one or two kilobytes at any level.
# Behaviour: of a dictionary zstd indexes only the end that the tables of that level hold, 512 KiB at
# level 2, and refers back no further than its window, 512 KiB at level 1. Nothing tells so. Level 1
# saves not one byte, level 2 half, level 3 all. Of 4 MB even level 8 saves less than 7 %.
# Output seen: "1 MB: level 1 1000034, level 2 476467, level 3 1779; 4 MB: level 3 4000103, level 12 2963"
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install -q --disable-pip-version-check zstandard==0.25.0
"$place/venv/bin/python" - <<'PY'
import random

import zstandard


def size(length, level):
    before = random.Random(0).randbytes(length)
    after = bytearray(before)
    for place in range(0, length, 4000):
        after[place] ^= 1
    known = zstandard.ZstdCompressionDict(before, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return len(zstandard.ZstdCompressor(level=level, dict_data=known).compress(bytes(after)))


first, second, third = (size(1_000_000, level) for level in (1, 2, 3))
large, best = (size(4_000_000, level) for level in (3, 12))
print(
    f"1 MB: level 1 {first}, level 2 {second}, level 3 {third}; "
    f"4 MB: level 3 {large}, level 12 {best}"
)
assert third < 3000 and best < 6000
assert first > 900_000, "level 1 uses the whole dictionary now: this finding is out of date"
assert second > 400_000 and large > 3_900_000
PY
