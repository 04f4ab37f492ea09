"""What refers to itself is freed soon, however much was there before."""

import gc
import weakref
from collections import deque

import pytest

from flwr_gan.core.heap import prompt_collection

COUNT, USED = 300_000, 20_000


class Cycle:
    """An object that the collector alone frees, as a Flower message that was read."""

    def __init__(self) -> None:
        self.itself = self


def alive_after(count: int) -> int:
    """Make so many objects and drop each when it is old; return how many are still there."""
    there: weakref.WeakSet[Cycle] = weakref.WeakSet()
    used: deque[Cycle] = deque(maxlen=USED)
    for at in range(count):
        used.append(Cycle())
        if at % 100 == 0:
            there.add(used[-1])
    return 100 * len(there)


@pytest.fixture
def libraries():
    """Objects that stay, as those of imported libraries."""
    found = [[] for _ in range(1_300_000)]
    gc.collect()
    return found


@pytest.mark.long
def test_self_references_are_freed_while_a_run_lasts(libraries):
    assert alive_after(COUNT) > COUNT - USED, "without it they stay"
    gc.collect()
    with prompt_collection():
        assert gc.get_freeze_count() > len(libraries)
        assert alive_after(COUNT) < COUNT / 2
    assert gc.get_freeze_count() == 0
