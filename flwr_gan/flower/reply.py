"""A reply on the server: a payload that is decoded when it is looked at, and never kept decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from flwr.common import Parameters

from flwr_gan.errors import PayloadError
from flwr_gan.flower.records import (
    Arrays,
    Opaque,
    arrays_to_parameters,
    scattered_parameters,
)
from flwr_gan.flower.settings import completed
from flwr_gan.wire import (
    Base,
    PayloadInfo,
    Template,
    decode_payload,
    decode_survivors,
    describe_payload,
    has_base_mask,
)
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array

_BLOCK = 1 << 16


@dataclass(frozen=True)
class CodedReply:
    """A payload with what its receiver expects and holds; each look decodes anew."""

    payload: bytes
    expected: Template | None  # None takes what the payload announces
    base: Base | None  # what it may be relative to
    max_bytes: int  # of its arrays together
    opaque: Opaque = field(default_factory=dict)
    own: Arrays = field(default_factory=dict)  # the server's, for those that did not travel
    order: Mapping[str, object] = field(default_factory=dict)  # names of all arrays, then
    finite: bool = False  # refuse values that are not

    @cached_property
    def info(self) -> PayloadInfo:
        """What the header says, read and its checksum compared once; or ``PayloadError``."""
        return describe_payload(self.payload)

    def travelled(self, *, writable: bool = False) -> Arrays:
        """Return the decoded arrays that travelled, or raise ``PayloadError``."""
        return decode_payload(
            self.info,
            template=self.expected,
            base=self.base,
            max_bytes=self.max_bytes,
            writable=writable,
        )

    def arrays(self, *, writable: bool = True) -> Arrays:
        """Return all arrays, decoded, or raise ``PayloadError``."""
        return self.completed(self.travelled(writable=writable))

    def completed(self, travelled: Arrays) -> Arrays:
        """Return decoded arrays with the server's own for those that did not travel."""
        return completed(travelled, self.own, self.order) if self.own else travelled

    def parameters(self) -> Parameters:
        """Return the decoded arrays as Flower's legacy parameters, or raise ``PayloadError``."""
        survivors = self.survivors()
        if survivors is None or self.base is None:
            return arrays_to_parameters(self.arrays(writable=False), self.opaque)
        return scattered_parameters(self.base, survivors)

    @cached_property
    def has_base_mask(self) -> bool:
        """True if the reply is new values for the base's survivors and nothing else."""
        return self._mask_base is not None and has_base_mask(self.info, base=self._mask_base)

    @property
    def _mask_base(self) -> Base | None:
        """The base, unless something beside the payload says that it is not its mask's values."""
        if self.base is None or self.own or self.opaque:
            return None
        expected = self.expected or self.info.template
        fits = expected is None or expected.hash == self.base.template.hash
        return self.base if fits else None

    def survivors(self) -> Array | None:
        """Return the values at the base's survivors, if ``has_base_mask``, else None.

        Those of the first array come first; ``base.split`` divides them.
        """
        base = self._mask_base
        return None if base is None else decode_survivors(self.info, base=base)

    def check(self, *, whole: bool = False) -> tuple[tuple[int, int, int], Array | Arrays]:
        """Decode once; return what ``counts_of`` does, and what came, not to be written to.

        That is survivors, where they are all that the payload holds and `whole` is False, and else
        the arrays that travelled. Raises ``PayloadError`` when the payload cannot be decoded, or
        holds a value that is not finite and must not.
        """
        survivors = None if whole else self.survivors()
        if survivors is None or self.base is None:
            arrays = self.travelled()
            return counts_of(arrays, finite=self.finite), arrays
        nonzero, are_finite = counted(survivors)
        if self.finite and not are_finite:
            parts = self.base.split(survivors)
            for name, part in zip(self.base.template.names, parts, strict=True):
                _nonzero(name, part, finite=True)
        template = self.base.template
        return (template.parameters, nonzero, template.nbytes), survivors


def counted(values: Array) -> tuple[int, bool]:
    """Return how many float32 values, shape (k,), are not zero, and whether all are finite."""
    if compiled.kernels() is not None:
        from flwr_gan.flower import sum_kernels

        found: tuple[int, bool] = sum_kernels.counted(values)
        return found
    # Looking for what is not zero in bools is several times faster than in floats.
    return int(np.count_nonzero(values != 0)), bool(np.isfinite(values).all())


def counts_of(arrays: Arrays, *, finite: bool = False) -> tuple[int, int, int]:
    """Return the parameters of arrays, those that are not zero, and the bytes of all.

    With `finite`, raises ``PayloadError`` where a value is not finite.
    """
    nonzero = sum(_nonzero(name, array, finite=finite) for name, array in arrays.items())
    sizes = [(array.size, array.nbytes) for array in arrays.values()]
    return sum(size for size, _ in sizes), nonzero, sum(nbytes for _, nbytes in sizes)


def _nonzero(name: str, array: Array, *, finite: bool) -> int:
    """Return how many values are not zero, or raise ``PayloadError`` if one is not finite.

    Block by block, so that what numpy answers for a block stays in the cache.
    """
    if array.dtype.kind == "V":  # bfloat16, as numpy has it: all but the sign
        array = array.view(np.uint16) & np.uint16(0x7FFF)
    if array.dtype == np.float32 and compiled.kernels() is not None:
        nonzero, are_finite = counted(np.ascontiguousarray(array).reshape(-1))
        if finite and not are_finite:
            raise PayloadError(f"array {name} holds values that are not finite")
        return nonzero
    may_be_infinite = finite and np.issubdtype(array.dtype, np.inexact)
    flat, nonzero = array.reshape(-1), 0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        if may_be_infinite and not np.isfinite(block).all():
            raise PayloadError(f"array {name} holds values that are not finite")
        nonzero += int(np.count_nonzero(block != 0))
    return nonzero
