"""A base: the arrays that a receiver holds, and payloads may lean on."""

from collections.abc import Mapping

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.base import BaseNeed
from flwr_gan.codecs.sparse.parts import KnownBase
from flwr_gan.wire.base_hash import base_hash
from flwr_gan.wire.template import Template


class Base:
    """A base that many payloads lean on: its hashes and its survivors are looked for once.

    The arrays must not be changed while it is in use.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        What the receiver holds.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.template = Template.of(arrays)
        self.arrays = KnownBase(arrays.values())
        self._names: dict[BaseNeed, bytes] = {}

    def split(self, values: Array) -> list[Array]:
        """Return each array's part of one value for each survivor, array after array."""
        return np.split(values, self.arrays.ends[:-1]) if self.arrays.ends else []

    def name(self, need: BaseNeed) -> bytes:
        """Return the hash that names the base in a payload which needs so much of it."""
        if need not in self._names:
            self._names[need] = base_hash(self.template, self.arrays, need)
        return self._names[need]
