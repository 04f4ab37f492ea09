"""The name of a base: a hash of what the receiver needs of it."""

import hashlib
from collections.abc import Sequence

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.base import BaseNeed
from flwr_gan.codecs.sparse.codec import base_layers
from flwr_gan.codecs.sparse.masks import mask_hash

BASE_HASH_BYTES = 8


def base_hash(base: Sequence[Array], need: BaseNeed) -> bytes:
    """Return the 8 bytes that name a base.

    Parameters
    ----------
    base : sequence of numpy.ndarray
        The arrays; only float32 ones count.
    need : {"mask", "values"}
        For ``"mask"``, bases with zeros at the same places have the same name.
    """
    layers = base_layers(base)
    masks = [layer != 0 for layer in layers]
    name = mask_hash(masks)
    if need == "mask":
        return name
    digest = hashlib.sha256(name)
    for layer, mask in zip(layers, masks, strict=True):
        digest.update(np.ascontiguousarray(layer[mask]).tobytes())
    return digest.digest()[:BASE_HASH_BYTES]
