"""A base: arrays that a receiver holds, relative to which payloads may be coded."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.base import BaseNeed
from flwr_gan.wire.codecs.sparse.masks import mask_hash
from flwr_gan.wire.codecs.sparse.parts import KnownBase
from flwr_gan.wire.floats import is_float, nearest_float32
from flwr_gan.wire.inputs import as_array
from flwr_gan.wire.template import Template, check_name

BASE_HASH_BYTES = 8


class Base:
    """A base for many payloads: its hashes and survivors are computed only once.

    Each float array of a payload uses the float array of the same name and shape, rounded to
    float32; all other arrays of the base are ignored.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray, torch.Tensor or array_like
        The receiver's arrays. They must not be changed while the base is in use. Arrays that no
        payload can hold are left out.
    """

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._held: dict[str, Array] = {}
        for name, value in arrays.items():
            try:
                check_name(name)
                self._held[name] = as_array(value, name)
            except CodecError:
                continue
        self.template = Template.of(self._held)
        self._known: dict[tuple[str, ...], KnownBase] = {}
        self._names: dict[tuple[BaseNeed, tuple[str, ...] | None], bytes] = {}

    @cached_property
    def arrays(self) -> KnownBase:
        """All float arrays, as float32."""
        return self.of(self.template.names)

    @cached_property
    def is_finite(self) -> bool:
        """True if no float array has a value that is infinite or NaN."""
        pairs = ((layer.min(initial=0), layer.max(initial=0)) for layer in self.arrays)
        return all(np.isfinite(pair).all() for pair in pairs)

    def has(self, name: str, shape: tuple[int, ...]) -> bool:
        """Return True if there is a float array of this name and shape."""
        array = self._held.get(name)
        return array is not None and array.shape == shape and is_float(array.dtype)

    def of(self, names: Sequence[str | None]) -> KnownBase:
        """Return the float arrays of these names as float32, in order; None names no array."""
        named = ((name, self._held[name]) for name in names if name is not None)
        floats = {name: array for name, array in named if is_float(array.dtype)}
        key = tuple(floats)
        if key not in self._known:
            self._known[key] = KnownBase(map(nearest_float32, floats.values()))
        return self._known[key]

    def split(self, values: Array) -> list[Array]:
        """Return each array's part of one value for each survivor, array after array."""
        return np.split(values, self.arrays.ends[:-1]) if self.arrays else []

    def name(self, need: BaseNeed, used: Sequence[str] | None = None) -> bytes:
        """Return the hash that names the base in a payload that needs its mask or its values.

        ``used`` are the names of the arrays that are needed; by default all.
        """
        key = need, None if used is None else tuple(used)
        if key not in self._names:
            names = self.template.names if key[1] is None else key[1]
            specs = dict(zip(self.template.names, self.template.specs, strict=True))
            template = Template(names, tuple(specs[name] for name in names))
            self._names[key] = base_hash(template, self.of(names), need)
        return self._names[key]


def base_hash(template: Template, base: KnownBase, need: BaseNeed) -> bytes:
    """Return the 8 bytes that name a base.

    Only float arrays count, as float32. Where a payload needs only the mask, bases with zeros in
    the same places have the same name.
    """
    digest = hashlib.sha256(template.hash + mask_hash([known.mask for known in base.supports]))
    if need == "values":
        for layer, known in zip(base, base.supports, strict=True):
            digest.update(known.of_layer(layer).data)
    return digest.digest()[:BASE_HASH_BYTES]
