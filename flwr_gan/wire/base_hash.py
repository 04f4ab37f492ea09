"""The name of a base: a hash of its template and of what the receiver needs of it."""

import hashlib
from collections.abc import Sequence

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.codecs.base import BaseNeed
from flwr_gan.codecs.sparse.masks import mask_hash
from flwr_gan.codecs.sparse.parts import base_layers
from flwr_gan.wire.template import Template

BASE_HASH_BYTES = 8


def base_hash(template: Template, base: Sequence[Array], need: BaseNeed) -> bytes:
    """Return the 8 bytes that name a base.

    Parameters
    ----------
    template : Template
        Names, shapes and dtypes of the arrays.
    base : sequence of numpy.ndarray
        The arrays; only the values of float32 ones count.
    need : {"mask", "values"}
        For ``"mask"``, bases with zeros at the same places have the same name.
    """
    layers = base_layers(base)
    masks = [layer != 0 for layer in layers]
    digest = hashlib.sha256(template.hash + mask_hash(masks))
    if need == "values":
        for layer, mask in zip(layers, masks, strict=True):
            digest.update(np.ascontiguousarray(layer[mask]).tobytes())
    return digest.digest()[:BASE_HASH_BYTES]
