"""Memory that was freed is used again, and what nothing refers to is freed soon."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

_BYTES = 31 << 20  # below the 32 MiB up to which glibc adapts


@cache
def keep_freed_memory() -> None:
    """Let this process keep freed blocks of up to 31 MiB, so that they need not be zeroed again.

    glibc raises its thresholds to the size of the largest block that was freed (``mallopt(3)``,
    ``M_MMAP_THRESHOLD``), so one block that is never touched is enough. Without it, arrays of a few
    megabytes cost as much to get as to compute. Other allocators are not affected.
    """
    np.empty(_BYTES, np.uint8)


@contextmanager
def prompt_collection() -> Iterator[None]:
    """Let Python's collector look at new objects alone, often, for as long as the context lasts.

    A Flower message whose records have been read refers to itself (``RecordDict.array_records``,
    flwr 1.42), so the collector alone frees it, with its arrays. A full collection comes when there
    are a quarter more objects than before; beside the half million of the imported libraries that
    is hundreds of rounds, and hundreds of megabytes, away.
    """
    gc.freeze()
    gc.collect()  # takes no time, and the next one is measured by what is left: nothing
    try:
        yield
    finally:
        gc.unfreeze()
