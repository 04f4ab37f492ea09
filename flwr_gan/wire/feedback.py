"""Error feedback over whole payloads: what a lossy codec leaves over is sent the next time."""

from collections.abc import Mapping

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.base import BaseUse, Codec
from flwr_gan.compress.stage import lost
from flwr_gan.wire.payload import decode_payload, encode_payload
from flwr_gan.wire.template import Template


def encode_with_feedback(
    arrays: Mapping[str, Array],
    residuals: Mapping[str, Array] | None,
    *,
    codec: str | Codec = "sparse",
    base: Mapping[str, Array] | None = None,
    base_use: BaseUse = "auto",
    self_contained: bool = True,
) -> tuple[bytes, dict[str, Array]]:
    """Code arrays plus what the last payload left over, and return what this one leaves.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        What the receiver should have.
    residuals : mapping of str to numpy.ndarray, optional
        The second result of the call before; only float32 arrays have one.
    codec, base, base_use, self_contained
        As for ``encode_payload``.

    Returns
    -------
    payload : bytes
        The payload.
    residuals : dict of str to numpy.ndarray of float32
        Wanted minus decoded weights; zero where a weight is pruned.

    Raises
    ------
    CodecError
        As ``encode_payload`` does.
    """
    wanted = {name: np.asarray(array) for name, array in arrays.items()}
    for name, residual in (residuals or {}).items():
        array = wanted.get(name)
        if array is not None and array.shape == residual.shape:
            moved = np.where(array != 0, array + residual, array).astype(array.dtype)
            # A survivor must not fall out of the mask because its residual cancels it.
            wanted[name] = np.where((array != 0) & (moved == 0), array, moved)
    payload = encode_payload(
        wanted, codec=codec, base=base, base_use=base_use, self_contained=self_contained
    )
    template = Template.of(wanted)
    decoded = decode_payload(payload, template=template, base=base, max_bytes=template.nbytes)
    weights = [name for name, array in wanted.items() if array.dtype == np.float32]
    left = {name: lost(wanted[name], decoded[name]) for name in weights}
    return payload, left
