"""The name of a base: a hash of its template and of what the receiver needs of it."""

import hashlib

from flwr_gan.wire.codecs.base import BaseNeed
from flwr_gan.wire.codecs.sparse.masks import mask_hash
from flwr_gan.wire.codecs.sparse.parts import KnownBase
from flwr_gan.wire.template import Template

BASE_HASH_BYTES = 8


def base_hash(template: Template, base: KnownBase, need: BaseNeed) -> bytes:
    """Return the 8 bytes that name a base.

    The values of float arrays alone count, as float32. Where a payload needs the mask alone, bases
    with zeros at the same places have one name.
    """
    digest = hashlib.sha256(template.hash + mask_hash([known.mask for known in base.supports]))
    if need == "values":
        for layer, known in zip(base.layers, base.supports, strict=True):
            digest.update(known.of_layer(layer).data)
    return digest.digest()[:BASE_HASH_BYTES]
