"""The name of a base: a hash of its template and of what the receiver needs of it."""

import hashlib
from collections.abc import Sequence
from typing import Any

from flwr_gan.codecs.base import BaseNeed
from flwr_gan.codecs.sparse.masks import mask_hash
from flwr_gan.codecs.sparse.parts import flat_layer
from flwr_gan.wire.floats import is_float, nearest_float32
from flwr_gan.wire.inputs import as_array
from flwr_gan.wire.template import Template

BASE_HASH_BYTES = 8


def base_hash(template: Template, base: Sequence[Any], need: BaseNeed) -> bytes:
    """Return the 8 bytes that name a base.

    Parameters
    ----------
    template : Template
        Names, shapes and dtypes of the arrays.
    base : sequence of numpy.ndarray
        The arrays; only the values of float arrays count, as the nearest float32.
    need : {"mask", "values"}
        For ``"mask"``, bases with zeros at the same places have the same name.
    """
    arrays = [as_array(array, "base") for array in base]
    layers = [flat_layer(nearest_float32(array)) for array in arrays if is_float(array.dtype)]
    masks = [layer != 0 for layer in layers]
    digest = hashlib.sha256(template.hash + mask_hash(masks))
    if need == "values":
        for layer, mask in zip(layers, masks, strict=True):
            digest.update((layer if mask.all() else layer[mask]).data)
    return digest.digest()[:BASE_HASH_BYTES]
