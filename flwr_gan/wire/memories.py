"""Memory of stages on updates, from one payload of a sender to the next.

It holds the factors of ``powersgd``, from which power iteration continues, and the accumulated
momentum of ``dgc``, in one mapping of names to float32 arrays, besides the residual of error
feedback.
"""

from collections.abc import Mapping

import numpy as np

from flwr_gan.wire.base import Base
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.base import Codec
from flwr_gan.wire.floats import is_float, surviving_float32
from flwr_gan.wire.stages.array_codec import ArrayStagedCodec
from flwr_gan.wire.stages.array_stage import ArrayStage

Arrays = Mapping[str, Array]

_MOMENTUM = "momentum/"


class Memories:
    """The memory of one sender's stages while a payload is coded.

    Entries of ``memory`` (from the previous call) that do not fit the arrays are dropped.
    """

    def __init__(self, codec: Codec, memory: Arrays, base: Base | None) -> None:
        self._stages: list[ArrayStage] = []
        while isinstance(codec, ArrayStagedCodec):
            self._stages.append(codec.stage)
            codec = codec.codec
        self._base = base
        self._gathered: dict[str, Array] = {}
        self._momentum = max((stage.momentum for stage in self._stages), default=0.0)
        self._memory = memory
        for stage in self._stages:
            stage.memory, stage.remembered = _of(f"{stage.name}/", memory), {}

    def gather(self, arrays: Arrays) -> Arrays:
        """Return what momentum adds to each array's residual, float32: ``M u``."""
        if not self._momentum:
            return {}
        before = _of(_MOMENTUM, self._memory)
        added = {}
        for name, array in arrays.items():
            near = self._near(name, array)
            if near is None:
                continue
            single = surviving_float32(array)
            held = before.get(name)
            more = np.zeros_like(single)
            if held is not None and held.shape == single.shape:
                more = np.float32(self._momentum) * held.astype(np.float32, copy=False)
            added[name] = more
            with np.errstate(over="ignore", invalid="ignore"):
                self._gathered[name] = more + (single - near)
        return added

    def settle(self, decoded: Arrays) -> dict[str, Array]:
        """Return the new memory, given the arrays that the receiver decodes."""
        kept = {
            f"{stage.name}/{key}": array
            for stage in self._stages
            for key, array in stage.remembered.items()
        }
        for name, gathered in self._gathered.items():
            array = decoded[name]
            near = self._near(name, array)
            stays = surviving_float32(array) == near
            kept[f"{_MOMENTUM}{name}"] = np.where(stays, gathered, np.float32(0))
        return kept

    def _near(self, name: str, array: Array) -> Array | None:
        """Return the receiver's values of a float array."""
        if self._base is None or not is_float(array.dtype):
            return None
        if not self._base.has(name, array.shape):
            return None
        return np.asarray(self._base.of([name])[0]).reshape(array.shape)


def _of(prefix: str, memory: Arrays) -> dict[str, Array]:
    return {
        key.removeprefix(prefix): array for key, array in memory.items() if key.startswith(prefix)
    }
