"""Threads change nothing but the time: order, bytes and results stay."""

import threading
import time

import numpy as np
import pytest

from flwr_gan.errors import CodecError
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.codecs.sparse import planes, positions, support, values
from flwr_gan.wire.codecs.threads import MOST_THREADS, coding_threads, in_order

RNG = np.random.default_rng(0)
DENSE = RNG.normal(size=(150, 200)).astype(np.float32)
PRUNED = np.where(RNG.random(DENSE.shape) < 0.2, DENSE, np.float32(0))
MOVED = {"w": PRUNED * np.float32(1.01) + (PRUNED != 0) * np.float32(1e-3)}
BRAIN = (DENSE.view(np.uint32) >> 16).astype(np.uint16).view("V2")
CASES = {
    "lossless": ({"w": DENSE}, {}),
    "int8": ({"w": DENSE}, {"codec": "sparse:int8"}),
    "pruned": ({"w": PRUNED, "n": np.arange(30_000)}, {}),
    "pruned int4": ({"w": PRUNED}, {"codec": "sparse:int4"}),
    "differences": (MOVED, {"base": {"w": PRUNED}, "base_use": "values"}),
    "int8 differences": (MOVED, {"base": {"w": PRUNED}, "codec": "sparse:int8"}),
    "changes": ({"w": np.where(np.arange(200) % 97, PRUNED, 1)}, {"base": {"w": PRUNED}}),
    "bfloat16": ({"w": BRAIN}, {}),
    "complex": ({"w": DENSE.astype(np.complex128)}, {}),
}


@pytest.fixture
def short_blocks(monkeypatch):
    """Blocks of 4,096 numbers, so that small arrays have many."""
    monkeypatch.setattr(values, "BLOCK", 1 << 12)
    monkeypatch.setattr(planes, "BLOCK", 1 << 12)
    for module in (support, positions):
        monkeypatch.setattr(module, "BLOCK", 1 << 12)


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("case", CASES)
def test_threads_give_the_same_bytes_and_arrays(case):
    arrays, options = CASES[case]
    base = options.get("base")
    payload = encode_payload(arrays, **options)
    alone = decode_payload(payload, base=base)
    assert encode_payload(arrays, **options, threads=3) == payload
    for threads in (2, 5):
        found = decode_payload(payload, base=base, threads=threads)
        assert found["w"].tobytes() == alone["w"].tobytes()
    if "int" not in case:
        assert alone["w"].tobytes() == arrays["w"].tobytes()


@pytest.mark.parametrize("threads", [0, -1, MOST_THREADS + 1])
def test_other_numbers_of_threads_are_refused(threads):
    with pytest.raises(CodecError, match=f"threads={threads} .*allowed: 1 to {MOST_THREADS}"):
        encode_payload({"w": DENSE}, threads=threads)


def test_results_come_in_order_and_few_wait():
    started = []

    def work(number):
        started.append(number)
        time.sleep(0.002 * (number % 3 == 0))
        return number, threading.current_thread() is threading.main_thread()

    assert list(in_order(work, range(4))) == [(number, True) for number in range(4)]
    started.clear()
    with coding_threads(3):
        results = in_order(work, range(30))
        assert next(results) == (0, False)
        assert len(started) <= 4 + 1
        assert [number for number, _ in results] == list(range(1, 30))
        assert next(in_order(lambda _: list(in_order(work, [7])), [0])) == [(7, False)]


def test_an_error_in_a_thread_is_the_callers():
    def work(number):
        if number == 3:
            raise CodecError("three")
        return number

    with coding_threads(2):
        results = in_order(work, range(99))
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(CodecError, match="three"):
            next(results)
    assert next(in_order(abs, [-1])) == 1
