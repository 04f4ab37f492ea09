"""A reply on the server: a payload that is decoded when it is looked at, and never kept decoded."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from flwr.common import Parameters

from flwr_gan.codecs.arrays import Array
from flwr_gan.errors import PayloadError
from flwr_gan.flower.records import Arrays, arrays_to_parameters, scattered_parameters
from flwr_gan.wire import (
    Base,
    PayloadInfo,
    Template,
    decode_payload,
    decode_survivors,
    describe_payload,
    has_base_mask,
)

_BLOCK = 1 << 16


@dataclass(frozen=True)
class CodedReply:
    """A payload with what its receiver expects and holds; each look decodes anew.

    Parameters
    ----------
    payload : bytes
        The coded blob.
    expected : Template or None
        What it must hold; None takes what it announces.
    base : Base or None
        What it may lean on.
    max_bytes : int
        Most bytes that its arrays may have together.
    """

    payload: bytes
    expected: Template | None
    base: Base | None
    max_bytes: int

    @cached_property
    def info(self) -> PayloadInfo:
        """What the header says, read and its checksum compared once; or ``PayloadError``."""
        return describe_payload(self.payload)

    def with_float_types(self) -> "CodedReply":
        """Return the reply, expecting what it announces where that differs in float types alone.

        Server-side optimisers broadcast float64 and get float32 back.
        """
        try:
            announced, held = self.info.template, self.expected
        except PayloadError:
            return self  # decoding says what is wrong
        if announced is None or held is None or announced.names != held.names:
            return self
        pairs = zip(announced.specs, held.specs, strict=True)
        if not all(a.shape == b.shape and a.dtype.kind == b.dtype.kind for a, b in pairs):
            return self
        return replace(self, expected=announced, max_bytes=announced.nbytes)

    def arrays(self, *, writable: bool = True) -> Arrays:
        """Return the decoded arrays, as ``decode_payload`` does, or raise ``PayloadError``."""
        return decode_payload(
            self.info,
            template=self.expected,
            base=self.base,
            max_bytes=self.max_bytes,
            writable=writable,
        )

    def parameters(self) -> Parameters:
        """Return the decoded arrays as Flower's legacy parameters, or raise ``PayloadError``."""
        survivors = self.survivors()
        if survivors is None or self.base is None:
            return arrays_to_parameters(self.arrays(writable=False).values())
        return scattered_parameters(self.base, survivors)

    @cached_property
    def has_base_mask(self) -> bool:
        """True if the reply is new values for the base's survivors and nothing else."""
        if self.base is None or self.expected is None:
            return False
        same = self.expected.hash == self.base.template.hash
        return same and has_base_mask(self.info, base=self.base)

    def survivors(self) -> Array | None:
        """Return the values at the base's survivors, if ``has_base_mask``, else None.

        Those of the first array come first; ``base.split`` divides them.
        """
        if self.base is None or not self.has_base_mask:
            return None
        return decode_survivors(self.info, base=self.base)

    def check(self) -> tuple[int, int, Array | None]:
        """Decode once.

        Returns
        -------
        parameters, nonzero : int
            How many there are, and how many of them are not zero.
        survivors : numpy.ndarray or None
            As of ``survivors``.

        Raises
        ------
        PayloadError
            When the payload cannot be decoded or holds a value that is not finite.
        """
        survivors = self.survivors()
        if survivors is not None and self.base is not None:
            if not np.isfinite(survivors).all():
                parts = self.base.split(survivors)
                for name, part in zip(self.base.template.names, parts, strict=True):
                    _nonzero(name, part)
            # Looking for what is not zero in bools is several times faster than in floats.
            nonzero = int(np.count_nonzero(survivors != 0))
            return self.base.template.parameters, nonzero, survivors
        named = self.arrays(writable=False)
        parameters = sum(array.size for array in named.values())
        return parameters, sum(_nonzero(name, array) for name, array in named.items()), None


def _nonzero(name: str, array: Array) -> int:
    """Return how many values are not zero, or raise ``PayloadError`` if one is not finite.

    Block by block, so that what numpy answers for a block stays in the cache.
    """
    may_be_infinite = np.issubdtype(array.dtype, np.inexact)
    flat, nonzero = array.reshape(-1), 0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        if may_be_infinite and not np.isfinite(block).all():
            raise PayloadError(f"array {name} holds values that are not finite")
        nonzero += int(np.count_nonzero(block != 0))
    return nonzero
