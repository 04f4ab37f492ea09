"""The judge of the matrix sees what a wire can do to arrays."""

import io
import re

import numpy as np
import pytest

from tests.conformance.running import Run
from tests.conformance.verdict import is_lossless, judge
from tests.conformance.witness import NUMPY, Place, Seen, Witness

PLACE = Place("up", "train", 1, 1)


def seen(value, name="w", stype=NUMPY, dtype=""):
    if isinstance(value, bytes):
        return Seen(name, stype, dtype, value)
    file = io.BytesIO()
    np.save(file, value)
    return Seen(name, stype, dtype, file.getvalue())


def a_run(sent, arrived=None, *, accuracy=0.5, replies=(3, 0), error=None) -> Run:
    arrived = sent if arrived is None else arrived
    return Run(
        Witness(
            sent={PLACE: [seen(sent)]},
            arrived={PLACE: [seen(arrived)]},
            replies=[("train", 1, *replies)],
            metrics=[("train", 1, {"loss": 1.0})],
            scores={1: [(1.0, accuracy, 10)]},
            arrays=[seen(arrived)],
        ),
        error,
    )


W = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)


@pytest.mark.parametrize("codec", ["raw", "zstd:3", "sparse"])
def test_lossless_means_equal(codec):
    assert is_lossless(codec)
    assert judge(a_run(W), a_run(W), codec).cell == "="
    assert judge(a_run(W), a_run(W, np.nextafter(W, 9)), codec).faults


@pytest.mark.parametrize("codec", ["sparse:int8", "quantize:int8:layer+sparse", "topk:0.1+raw"])
def test_lossy_means_close(codec):
    assert not is_lossless(codec)
    moved = W * np.float32(1.1)
    assert judge(a_run(W), a_run(W, moved, accuracy=0.503), codec).cell == "±0.003"
    assert (
        "accuracy differs by 0.020" in judge(a_run(W), a_run(W, moved, accuracy=0.48), codec).cell
    )
    assert judge(a_run(W), a_run(W, moved, accuracy=float("nan")), codec).faults


def test_only_raw_keeps_the_sign_of_a_zero():
    negative = np.where(W == 0, -W, W)
    assert judge(a_run(negative), a_run(negative, W), "sparse").cell == "="
    assert judge(a_run(negative), a_run(negative, W), "raw").faults


@pytest.mark.parametrize(
    ("arrived", "reason"),
    [
        (-W, "3 negative values arrive where none was sent"),
        (np.where(W == 3, np.nan, W), "1 finite values arrive as not finite"),
        (W.astype(np.float64), "arrives as float64"),
        (W.ravel(), r"arrives as float32 \(4,\)"),
    ],
)
def test_what_lossy_codecs_may_not_do(arrived, reason):
    verdict = judge(a_run(W), a_run(W, arrived), "sparse:int8")
    assert any(re.search(reason, fault) for fault in verdict.faults)


@pytest.mark.parametrize("sent", [np.arange(3), np.array([True, False]), np.array(7)])
def test_integers_and_switches_are_exact(sent):
    assert judge(
        a_run(sent), a_run(sent, sent[::-1] if sent.ndim else sent + 1), "sparse:int4"
    ).faults


def test_infinity_stays():
    sent = np.array([[0, -np.inf], [1, 2]], np.float32)
    assert not judge(a_run(sent), a_run(sent), "sparse:int8").faults
    assert judge(a_run(sent), a_run(sent, -sent), "sparse:int8").faults


def test_bytes_and_names_are_exact():
    plain, coded = a_run(W), a_run(W)
    for witness in (plain.witness, coded.witness):
        witness.sent[PLACE] = [seen(b"tree", stype="")]
    coded.witness.arrived[PLACE] = [seen(b"twig", stype="")]
    assert "other bytes" in judge(plain, coded, "sparse:int8").cell
    coded.witness.arrived[PLACE] = [seen(b"tree", "v", stype="")]
    assert "sent were 1 arrays (w), arrived are 1 arrays (v)" in judge(plain, coded, "raw").cell


def test_failures_count():
    verdict = judge(a_run(W), a_run(W, replies=(2, 1)), "sparse:int8")
    assert verdict.faults == ("round 1, train: 2 results and 1 failures, plain Flower has 3 and 0",)


def test_errors_are_the_same_or_faults():
    assert judge(a_run(W, error=ValueError("a")), a_run(W, error=ValueError("a")), "raw").cell == (
        "same error: ValueError"
    )
    for plain, coded in [("a", "b"), ("a", None), (None, "a")]:
        errors = [None if text is None else ValueError(text) for text in (plain, coded)]
        assert judge(*(a_run(W, error=error) for error in errors), "raw").faults
