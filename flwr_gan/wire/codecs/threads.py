"""Coding on several threads: blocks in parallel, results in order, the same bytes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from flwr_gan.errors import CodecError

MOST_THREADS = 64

_T = TypeVar("_T")
_R = TypeVar("_R")

_pool: ContextVar[tuple[ThreadPoolExecutor, int] | None] = ContextVar("pool", default=None)


@contextmanager
def coding_threads(count: int) -> Iterator[None]:
    """Let ``in_order`` use 1 to 64 threads inside the context, or raise ``CodecError``."""
    if not 1 <= count <= MOST_THREADS:
        raise CodecError(f"threads={count} is not possible; allowed: 1 to {MOST_THREADS}")
    if count == 1:
        yield
        return
    with ThreadPoolExecutor(count, thread_name_prefix="flwr_gan coding") as pool:
        token = _pool.set((pool, count))
        try:
            yield
        finally:
            _pool.reset(token)


def in_order(function: Callable[[_T], _R], jobs: Iterable[_T]) -> Iterator[_R]:
    """Yield ``function(job)`` for each job, in order; only a few results are buffered."""
    found = _pool.get()
    if found is None:
        yield from map(function, jobs)
        return
    pool, count = found
    running: deque[Future[_R]] = deque()
    try:
        for job in jobs:
            running.append(pool.submit(function, job))
            if len(running) > count:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
