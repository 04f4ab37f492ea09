"""A reply on the server: a payload that is decoded on each access and never kept decoded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from flwr.common import Parameters

from flwr_gan.errors import PayloadError
from flwr_gan.flower.records import Arrays, Opaque, arrays_to_parameters, scattered_parameters
from flwr_gan.flower.settings import completed
from flwr_gan.wire import (
    Base,
    PayloadInfo,
    Template,
    decode_payload,
    decode_survivors,
    describe_payload,
)
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array

_BLOCK = 1 << 16


@dataclass(frozen=True)
class CodedReply:
    """A payload with its receiver's expectations and arrays; each access decodes again."""

    payload: bytes
    expected: Template | None  # None accepts the payload's template
    base: Base | None  # its possible base
    max_bytes: int  # total, of its arrays
    opaque: Opaque = field(default_factory=dict)
    own: Arrays = field(default_factory=dict)  # the server's, for those not sent
    order: Mapping[str, object] = field(default_factory=dict)  # if so, names of all arrays
    finite: bool = False  # refuse values that are not finite

    @cached_property
    def info(self) -> PayloadInfo:
        """The header, read and checked once; or ``PayloadError``."""
        return describe_payload(self.payload)

    def travelled(self, *, writable: bool = False) -> Arrays:
        """Return the decoded arrays that were sent, or raise ``PayloadError``."""
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
        """Return decoded arrays with the server's own for those that were not sent."""
        return completed(travelled, self.own, self.order) if self.own else travelled

    def parameters(self) -> Parameters:
        """Return the decoded arrays as Flower's legacy parameters, or raise ``PayloadError``."""
        survivors = self.survivors()
        if survivors is None or self.base is None:
            return arrays_to_parameters(self.arrays(writable=False), self.opaque)
        return scattered_parameters(self.base, survivors)

    @property
    def _mask_base(self) -> Base | None:
        """The base, or None if the arrays are more than values of the base's mask."""
        if self.base is None or self.own or self.opaque:
            return None
        expected = self.expected or self.info.template
        fits = expected is None or expected.hash == self.base.template.hash
        return self.base if fits else None

    def survivors(self) -> Array | None:
        """Return the values at the base's survivors, None if there is more in the payload.

        Those of the first array come first; ``base.split`` divides them.
        """
        base = self._mask_base
        return None if base is None else decode_survivors(self.info, base=base)

    def check(self, *, whole: bool = False) -> tuple[tuple[int, int, int], Array | Arrays]:
        """Decode once; return ``counts_of`` and the decoded content, not to be written to.

        The content is survivors if the payload holds only these and `whole` is False, else the
        arrays that were sent. Raises ``PayloadError`` when the payload cannot be decoded, or has a
        value that must be finite and is not.
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
    """Return the number of nonzero float32 values, shape (k,), and whether all are finite."""
    if compiled.kernels() is not None:
        from flwr_gan.flower import sum_kernels

        found: tuple[int, bool] = sum_kernels.counted(values)
        return found
    # Counting nonzero bools is several times faster than counting nonzero floats.
    return int(np.count_nonzero(values != 0)), bool(np.isfinite(values).all())


def counts_of(arrays: Arrays, *, finite: bool = False) -> tuple[int, int, int]:
    """Return the number of parameters of arrays, of nonzero ones, and the total bytes.

    With `finite`, raises ``PayloadError`` if a value is not finite.
    """
    nonzero = sum(_nonzero(name, array, finite=finite) for name, array in arrays.items())
    sizes = [(array.size, array.nbytes) for array in arrays.values()]
    return sum(size for size, _ in sizes), nonzero, sum(nbytes for _, nbytes in sizes)


def _nonzero(name: str, array: Array, *, finite: bool) -> int:
    """Return the number of nonzero values, or raise ``PayloadError`` if one is not finite.

    Block by block, so that numpy's results for a block stay in the cache.
    """
    if array.dtype.kind == "V":  # bfloat16 in numpy: all bits but the sign
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
