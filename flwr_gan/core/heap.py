"""Settings of the allocator and garbage collector: reuse freed memory, free garbage soon."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

_BYTES = 31 << 20  # below glibc's limit of 32 MiB for adapting


@cache
def keep_freed_memory() -> None:
    """Let this process keep freed blocks of up to 31 MiB, so that they need not be zeroed again.

    glibc raises its thresholds to the size of the largest block that was freed (``mallopt(3)``,
    ``M_MMAP_THRESHOLD``), so one untouched block is enough. Without it, allocating arrays of a few
    megabytes takes as long as computing them. Other allocators are not affected.
    """
    np.empty(_BYTES, np.uint8)


@contextmanager
def prompt_collection() -> Iterator[None]:
    """Let Python's collector check only new objects, and often, inside the context.

    A Flower message whose records have been read refers to itself (``RecordDict.array_records``,
    flwr 1.42), so only the collector frees it and its arrays. A full collection comes when the
    number of objects has grown by a quarter; with half a million objects of the imported libraries,
    that takes hundreds of rounds and hundreds of megabytes.
    """
    gc.freeze()
    gc.collect()  # fast, and the next threshold depends on the objects left: none
    try:
        yield
    finally:
        gc.unfreeze()
