"""EF21: the sender codes the difference of its update to the part that has already arrived.

Richtárik, Sokolov and Fatkhullin, "EF21", 2021, Algorithm 2. Sender and receiver keep the same
*progress* g, the part of a node's update that has arrived, and a payload has ``C(update - g)``: its
base is the broadcast plus g. If one of them has lost g, both start again from zero.
"""

import numpy as np

from flwr_gan.core.spill import Spill
from flwr_gan.flower.memory import name_of, packed_bytes, record_key, unpacked
from flwr_gan.flower.records import Arrays
from flwr_gan.wire.floats import is_float, surviving_float32

MEMORY_BYTES = 256 << 20


def advanced(broadcast: Arrays, progress: Arrays | None) -> Arrays:
    """Return the broadcast plus the progress at survivors of float arrays that both have."""
    moved = dict(broadcast)
    for name, more in (progress or {}).items():
        array = moved.get(name)
        if array is not None and is_float(array.dtype) and array.shape == more.shape:
            single = surviving_float32(array)
            with np.errstate(over="ignore", invalid="ignore"):
                moved[name] = np.where(single != 0, single + more, np.float32(0))
    return moved


def made(decoded: Arrays, broadcast: Arrays) -> Arrays:
    """Return the progress after a reply: the reply minus the broadcast, float32."""
    found = {}
    for name, array in decoded.items():
        before = broadcast.get(name)
        if before is not None and is_float(array.dtype) and array.shape == before.shape:
            with np.errstate(over="ignore", invalid="ignore"):
                found[name] = surviving_float32(array) - surviving_float32(before)
    return found


class Progress:
    """The progress of every node, on the server; beyond a limit in bytes it is kept on disk.

    It grows with the number of nodes, by one model each.
    """

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._names: dict[tuple[int, str], str] = {}
        self._kept: Spill[tuple[int, str], Arrays] = Spill(
            memory_bytes=memory_bytes,
            size=lambda arrays: sum(array.nbytes for array in arrays.values()),
            write=packed_bytes,
            read=unpacked,
            what="the progress of node and record",
        )

    def __reduce__(self) -> tuple[type["Progress"], tuple[()]]:
        """Return the arguments of a copy, which is empty: nodes start again."""
        return Progress, ()

    def token(self, node: int, record: str) -> str:
        """Return the names of a node's progress; empty if there is none."""
        return self._names.get((node, record_key(record)), "")

    def get(self, node: int, record: str) -> Arrays | None:
        """Return the progress of a node, None if there is none."""
        return self._kept.get((node, record_key(record)))

    def put(self, node: int, record: str, progress: Arrays) -> None:
        """Keep the progress of a node."""
        key = node, record_key(record)
        self._kept.put(key, progress)
        self._names[key] = name_of(progress).hex()
