"""Mutations of single parts of payloads, which leave most of the rest readable."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from experiments.fuzz_cases import Case
from flwr_gan.wire.codecs.varint import write_varint

INTERESTING = (0, 1, 2, 3, 7, 15, 16, 31, 63, 64, 126, 127, 128, 129, 191, 192, 253, 254, 255)
COUNTS = (0, 1, 2, 127, 128, 1 << 14, 1 << 17, (1 << 17) + 1, (1 << 31) - 1, 1 << 31, 1 << 32)
HUGE = ((1 << 32) - 1, 1 << 40, (1 << 62) - 1, (1 << 64) - 1)
EDITS = (
    "flip", "set", "step", "noise", "count", "delete", "insert", "repeat", "truncate", "append",
    "splice", "swap", "flip", "step", "set",
)  # fmt: skip
FIELDS = (
    "values", "mask", "template", "head", "base_hash", "table", "mask_length", "codec", "whole",
)  # fmt: skip
FIELD_SHARES = (0.43, 0.25, 0.09, 0.06, 0.01, 0.06, 0.02, 0.03, 0.05)


def mutate(case: Case, others: Sequence[Case], rng: np.random.Generator) -> bytes:
    """Return the body (without checksum) of a payload made from ``case``.

    The hashes of template and base stay those of the receiver unless they are mutated themselves,
    so that the changed part is read and not refused before. Spliced bytes come from ``others``.
    """
    parts = case.parts
    other = others[int(rng.integers(len(others)))].parts
    for _ in range(1 + int(rng.geometric(0.6))):
        field = FIELDS[int(rng.choice(len(FIELDS), p=FIELD_SHARES))]
        if field == "whole":
            return _edit(parts.body(), other.body(), rng)
        if field == "mask_length":
            near = len(parts.mask) + int(rng.integers(-3, 4))
            parts = replace(parts, mask_length=max(0, _pick((near, *COUNTS), rng)))
        elif field == "codec":
            parts = replace(parts, head=_other_codec(parts.head, rng))
        elif field in ("template", "base_hash") and len(getattr(parts, field)) == 8:
            # A wrong hash ends decoding at once, so it is tried once in ten times.
            if rng.random() < 0.1:
                changed: dict[str, Any] = {field: rng.bytes(8)}
                parts = replace(parts, **changed)
        elif field == "template":
            parts = replace(parts, template=_edit_template(parts.template, rng))
        elif field == "table" and not parts.table:
            continue  # the mask's length would be read as the table
        else:
            mine, theirs = getattr(parts, field), getattr(other, field)
            changed = {field: _edit(mine, theirs, rng)}
            parts = replace(parts, **changed)
    return parts.body()


def _pick(choices: Sequence[int], rng: np.random.Generator) -> int:
    return choices[int(rng.integers(len(choices)))]


def _other_codec(head: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(head.ljust(6, b"\0"))
    at = int(rng.integers(4, len(changed)))
    changed[at] = int(rng.integers(256)) if rng.random() < 0.3 else int(rng.integers(12))
    return bytes(changed)


def _edit_template(field: bytes, rng: np.random.Generator) -> bytes:
    """Change the template; write its true length before it three times in four."""
    if not field:
        return field
    at = next((at + 1 for at, byte in enumerate(field) if byte < 128), len(field))
    changed = _edit(field[at:], field[at:], rng)
    return write_varint(len(changed)) + changed if rng.random() < 0.75 else field[:at] + changed


def _place(data: bytes | bytearray, rng: np.random.Generator) -> int:
    # Counts, modes and lengths come first; a change there has the largest effect.
    if rng.random() < 0.5:
        return int(rng.integers(min(len(data), 24)))
    return int(rng.integers(len(data)))


def _edit(given: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes after one of the ``EDITS``; splices and swaps use bytes of another payload."""
    edit = EDITS[int(rng.integers(len(EDITS)))]
    data = bytearray(given or b"\0")
    if edit == "swap":
        return other or bytes(data)
    if edit == "append":
        return bytes(data) + (rng.bytes(int(rng.integers(1, 9))) if rng.random() < 0.5 else b"\0")
    if edit == "splice":
        if not other:
            return bytes(data)
        start = _place(other, rng)
        return bytes(data[: _place(data, rng)]) + other[start:]
    if edit == "flip":
        for _ in range(int(rng.integers(1, 4))):
            data[_place(data, rng)] ^= 1 << int(rng.integers(8))
        return bytes(data)
    if edit == "set":
        data[_place(data, rng)] = _pick(INTERESTING, rng)
        return bytes(data)
    at = _place(data, rng)
    if edit == "step":
        data[at] = (data[at] + int(rng.integers(-4, 5))) & 255
    elif edit == "noise":
        count = int(rng.integers(1, 9))
        data[at : at + count] = rng.bytes(count)
    elif edit == "count":
        data[at : at + 1] = write_varint(_pick(COUNTS + HUGE, rng))
    elif edit == "delete":
        del data[at : at + int(rng.integers(1, 17))]
    elif edit == "insert":
        data[at:at] = rng.bytes(int(rng.integers(1, 9)))
    elif edit == "repeat":
        piece = bytes(data[at : at + int(rng.integers(1, 33))])
        data[at:at] = piece * int(rng.integers(1, 5))
    else:  # truncate
        del data[at:]
    return bytes(data)


def shortened(body: bytes, keeps: Callable[[bytes], bool]) -> bytes:
    """Cut pieces out of a body while ``keeps`` stays true; return the shortest body found."""
    size = max(1, len(body) // 2)
    while size:
        at = 0
        while at < len(body):
            shorter = body[:at] + body[at + size :]
            if keeps(shorter):
                body = shorter
            else:
                at += size
        size //= 2
    return body
