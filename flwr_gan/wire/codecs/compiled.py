"""Choose numba's loops or numpy for coding: the same bytes at different speeds.

Importing numba and its compiled loops takes about a second, longer than coding a small payload with
numpy. So a process begins with numpy. After it has spent as long coding as the import takes, it
changes to numba, if that is installed (the extra ``fast``).
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

IMPORT_S = 1.0
"""Seconds; measured by ``python -m experiments.benchmarks.wire_at_size --start``."""

_WITHOUT, _UNDECIDED, _WITH = "without", "undecided", "with"


class _State:
    def __init__(self) -> None:
        self.way = _UNDECIDED
        self.spent_s = 0.0
        self.module: ModuleType | None = None


_state = _State()


def kernels() -> ModuleType | None:
    """Return ``flwr_gan.wire.codecs.kernels``, or None while numpy is in use."""
    if _state.way == _WITH:
        return _state.module
    if _state.way == _UNDECIDED and (_state.spent_s >= IMPORT_S or "numba" in sys.modules):
        load()
    return _state.module


def rans_kernels() -> ModuleType | None:
    """Return ``flwr_gan.wire.codecs.rans_kernels``, or None while numpy is in use."""
    if kernels() is None:
        return None
    from flwr_gan.wire.codecs import rans_kernels as module

    return module


def load() -> bool:
    """Import the compiled loops now; return False if numba is not installed."""
    try:
        from flwr_gan.wire.codecs import kernels as module
    except ImportError:
        _state.way = _WITHOUT
        return False
    _state.way, _state.module = _WITH, module
    return True


@contextmanager
def slow_part() -> Iterator[None]:
    """Count the time of work that numba would do faster."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _state.spent_s += time.perf_counter() - began


@contextmanager
def without_numba() -> Iterator[None]:
    """Use only numpy inside the context, for comparisons."""
    before = _state.way, _state.module
    _state.way, _state.module = _WITHOUT, None
    try:
        yield
    finally:
        _state.way, _state.module = before
