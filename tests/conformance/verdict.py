"""Compare a run behind the wire with the same run on plain Flower."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.conformance.running import Run
from tests.conformance.witness import Seen, Witness, floats

TOLERANCE = 0.01
LOSSLESS = ("raw", "zstd", "sparse")
"""Codecs that are lossless without further options; all but raw may change the sign of a zero."""


@dataclass(frozen=True)
class Verdict:
    """What a cell of a table says.

    Attributes
    ----------
    text : str
        "=" for equal bit by bit, a difference of accuracy or loss, or the error that both raise.
    faults : tuple of str
        Why the wire is not like plain Flower; empty when it is.
    """

    text: str
    faults: tuple[str, ...] = ()

    @property
    def cell(self) -> str:
        """Return what the table says."""
        return f"**fails**: {self.faults[0]}" if self.faults else self.text


def is_lossless(codec: str) -> bool:
    """Return whether a codec gives back what it got."""
    name, _, option = codec.partition(":")
    return name in LOSSLESS and (name != "sparse" or not option)


def judge(plain: Run, coded: Run, codec: str) -> Verdict:
    """Return whether a run behind the wire is like the plain one.

    Lossless codecs have to give equal arrays, metrics and failures, or the same error. Others have
    to keep names, types and shapes, integers, what is finite and what is not negative, and end
    within ``TOLERANCE`` of the plain accuracy, or loss where there is no accuracy.
    """
    if plain.error is not None or coded.error is not None:
        return _judge_errors(plain.error, coded.error)
    lossless, keeps_signs = is_lossless(codec), codec == "raw"
    faults = [*_replies_differ(plain.witness, coded.witness)]
    faults += _arrivals_differ(coded.witness, lossless=lossless, keeps_signs=keeps_signs)
    equal = _same_result(plain.witness, coded.witness, keeps_signs=keeps_signs)
    difference, measure = _score_difference(plain.witness, coded.witness)
    if lossless and not equal:
        faults.append(_what_differs(plain.witness, coded.witness, keeps_signs=keeps_signs))
    if not lossless and not difference <= TOLERANCE:
        faults.append(f"{measure} differs by {difference:.3f}, allowed is {TOLERANCE}")
    return Verdict("=" if equal else f"±{difference:.3f}", tuple(faults))


def _judge_errors(plain: Exception | None, coded: Exception | None) -> Verdict:
    if plain is None:
        return Verdict("", (f"only the wire raises {_told(coded)}",))
    if coded is None:
        return Verdict("", (f"only plain Flower raises {_told(plain)}",))
    if (type(plain), str(plain)) != (type(coded), str(coded)):
        return Verdict("", (f"plain Flower raises {_told(plain)}, the wire {_told(coded)}",))
    return Verdict(f"same error: {type(plain).__name__.removeprefix('_')}")


def _told(error: Exception | None) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _replies_differ(plain: Witness, coded: Witness) -> Iterator[str]:
    if len(plain.replies) != len(coded.replies):
        yield f"{len(coded.replies)} aggregations, plain Flower has {len(plain.replies)}"
    for expected, got in zip(plain.replies, coded.replies, strict=False):
        if expected != got:
            purpose, server_round, results, failures = got
            yield (
                f"round {server_round}, {purpose}: {results} results and {failures} failures, "
                f"plain Flower has {expected[2]} and {expected[3]}"
            )


def _arrivals_differ(witness: Witness, *, lossless: bool, keeps_signs: bool) -> Iterator[str]:
    for place, arrived in witness.arrived.items():
        sent = witness.sent.get(place)
        if sent is not None:
            for fault in _arrays_differ(sent, arrived, lossless, keeps_signs):
                yield f"{place}: {fault}"


def _arrays_differ(
    sent: list[Seen], arrived: list[Seen], lossless: bool, keeps_signs: bool
) -> Iterator[str]:
    names, arrived_names = [a.name for a in sent], [a.name for a in arrived]
    if names != arrived_names:
        yield f"sent were {_short(names)}, arrived are {_short(arrived_names)}"
        return
    for was, now in zip(sent, arrived, strict=True):
        if was == now:
            continue
        if not was.is_like(now):
            yield f"{was.name} was sent as {was.kind}, and arrives as {now.kind}"
        elif was.value is None:
            if was.data != now.data:
                yield f"{was.name}: other bytes arrive than were sent"
        else:
            yield from _values_differ(was.name, was.value, now.value, lossless, keeps_signs)


def _values_differ(
    name: str, was: Any, now: Any, lossless: bool, keeps_signs: bool
) -> Iterator[str]:
    was, now = floats(was), floats(now)
    if lossless or was.dtype.kind != "f":
        if not _equal(was, now, keeps_signs=keeps_signs):
            yield f"{name}: other values arrive than were sent"
        return
    finite = np.isfinite(was)
    if not np.array_equal(finite, np.isfinite(now)):
        yield f"{name}: {np.sum(finite & ~np.isfinite(now))} finite values arrive as not finite"
    elif not np.array_equal(was[~finite], now[~finite], equal_nan=True):
        yield f"{name}: values that are not finite arrive as others"
    elif (was[finite] >= 0).all() and (lost := int((now[finite] < 0).sum())):
        yield f"{name}: {lost} negative values arrive where none was sent"


def _equal(a: Any, b: Any, *, keeps_signs: bool) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if not keeps_signs and a.dtype.kind == "f":
        a, b = a + 0.0, b + 0.0  # -0.0 becomes 0.0
    return a.tobytes() == b.tobytes()


def _same_result(plain: Witness, coded: Witness, *, keeps_signs: bool) -> bool:
    return (
        _same_arrays(plain.arrays, coded.arrays, keeps_signs=keeps_signs)
        and _text(plain.metrics) == _text(coded.metrics)
        and _text(plain.scores) == _text(coded.scores)
    )


def _same_arrays(a: list[Seen] | None, b: list[Seen] | None, *, keeps_signs: bool) -> bool:
    if a is None or b is None:
        return a is b
    return len(a) == len(b) and all(
        x == y or _same_array(x, y, keeps_signs=keeps_signs) for x, y in zip(a, b, strict=True)
    )


def _same_array(a: Seen, b: Seen, *, keeps_signs: bool) -> bool:
    if a.name != b.name or not a.is_like(b):
        return False
    if a.value is None:
        return a.data == b.data
    return _equal(a.value, b.value, keeps_signs=keeps_signs)


def _text(values: Any) -> str:
    """Return numbers as text, which is exact and in which NaN equals NaN."""
    return repr(values)


def _what_differs(plain: Witness, coded: Witness, *, keeps_signs: bool) -> str:
    if not _same_arrays(plain.arrays, coded.arrays, keeps_signs=keeps_signs):
        return "the final arrays differ from plain Flower's"
    for expected, got in zip(plain.metrics, coded.metrics, strict=False):
        if _text(expected) != _text(got):
            return f"round {got[1]}, {got[0]}: metrics {got[2]}, plain Flower has {expected[2]}"
    return "metrics differ from plain Flower's"


def _score_difference(plain: Witness, coded: Witness) -> tuple[float, str]:
    """Return the difference of the last round's accuracy, or loss, as clients find it."""
    (expected, measure), (got, _) = final_score(plain), final_score(coded)
    if math.isnan(expected):
        return (0.0 if math.isnan(got) else math.nan), measure
    return abs(got - expected), measure


def final_score(witness: Witness) -> tuple[float, str]:
    """Return the mean accuracy of the last evaluation, or its loss, and which of them it is.

    NaN where no client could evaluate.
    """
    told = [scores for _, scores in sorted(witness.scores.items()) if scores]
    if not told:
        return math.nan, "score"
    last = told[-1]
    total = sum(examples for _, _, examples in last)
    if all(accuracy is not None for _, accuracy, _ in last):
        return sum(a * n for _, a, n in last if a is not None) / total, "accuracy"
    return sum(loss * n for loss, _, n in last) / total, "loss"


def _short(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{len(names)} arrays ({shown}{', ...' if len(names) > 4 else ''})"
