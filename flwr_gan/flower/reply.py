"""A reply on the server: a payload that is decoded when it is looked at, and never kept decoded."""

from dataclasses import dataclass

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.errors import PayloadError
from flwr_gan.flower.records import Arrays
from flwr_gan.wire import Base, Template, decode_payload, decode_survivors, has_base_mask


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

    def arrays(self) -> Arrays:
        """Return the decoded arrays, or raise ``PayloadError``."""
        return decode_payload(
            self.payload, template=self.expected, base=self.base, max_bytes=self.max_bytes
        )

    @property
    def has_base_mask(self) -> bool:
        """True if the reply is new values for the base's survivors and nothing else."""
        if self.base is None or self.expected is None:
            return False
        same = self.expected.hash == self.base.template.hash
        return same and has_base_mask(self.payload, base=self.base)

    def survivors(self) -> list[Array] | None:
        """Return each array's values at the base's survivors, if ``has_base_mask``, else None."""
        if self.base is None or not self.has_base_mask:
            return None
        return decode_survivors(self.payload, base=self.base)

    def check(self) -> tuple[int, int]:
        """Decode once; return the number of parameters and of those that are not zero.

        Raises
        ------
        PayloadError
            When the payload cannot be decoded or holds a value that is not finite.
        """
        survivors = self.survivors()
        if survivors is not None and self.base is not None:
            named: Arrays = dict(zip(self.base.template.names, survivors, strict=True))
            parameters = self.base.template.parameters
        else:
            named = self.arrays()
            parameters = sum(array.size for array in named.values())
        for name, array in named.items():
            if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
                raise PayloadError(f"array {name} holds values that are not finite")
        return parameters, sum(int(np.count_nonzero(array)) for array in named.values())
