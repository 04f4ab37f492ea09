"""No compression: the arrays' bytes as they are."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec, check_encodable, dense_bytes
from flwr_gan.wire.codecs.base import BaseUse, Body, Codec, refuse_base, refuse_mask


class RawCodec(Codec):
    """Copies bytes and touches none of them, not even the sign of a zero. Lossless."""

    name: ClassVar[str] = "raw"
    wire_id: ClassVar[int] = 0
    spec = "raw"

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Join the bytes of all arrays; zeros keep their sign whether ``strict`` or not."""
        refuse_base(base_use, self.spec)
        parts = [check_encodable(array).reshape(-1).view(np.uint8).data for array in arrays]
        return Body(b"", parts[0] if len(parts) == 1 else b"".join(parts))

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Return views of the body, without a copy."""
        refuse_mask(body, self.name)
        total, found = dense_bytes(specs), len(body.values)
        if found != total:
            raise PayloadError(f"raw stream has {found} bytes where the arrays have {total}")
        arrays, at = [], 0
        for spec in specs:
            arrays.append(np.ndarray(spec.shape, spec.dtype, body.joined, at))
            at += spec.nbytes
        return arrays


def from_spec(arguments: tuple[str, ...]) -> RawCodec:
    """Build the codec ``raw``, which takes no settings."""
    from flwr_gan.wire.codecs.registry import no_arguments

    no_arguments("raw", arguments)
    return RawCodec()
