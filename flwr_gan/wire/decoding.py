"""Decoding of a payload's bodies to its arrays, given template and base."""

from collections.abc import Sequence

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.base import Base
from flwr_gan.wire.bundles import base_users, decode_bundles
from flwr_gan.wire.codecs.arrays import BFLOAT16, Array, own_copy
from flwr_gan.wire.codecs.base import Body, Codec
from flwr_gan.wire.codecs.sparse.parts import is_weight
from flwr_gan.wire.forms import restored
from flwr_gan.wire.header import PayloadInfo
from flwr_gan.wire.table import Entry, read_table
from flwr_gan.wire.template import Template

_LARGEST = np.finfo(np.float32).max
_SMALLEST = np.finfo(np.float32).smallest_subnormal


def decode_bodies(
    bodies: Sequence[Body],
    template: Template,
    entries: Sequence[Entry],
    *,
    codec: Codec,
    base: Base | None,
    writable: bool,
) -> list[Array]:
    """Decode a payload's arrays from its bodies; ``base`` is verified, None if unused."""
    found, corrections = decode_bundles(bodies, template, entries, codec=codec, base=base)
    finite = codec.decodes_finite and (base is None or base.is_finite)
    arrays: list[Array] = []
    for at, (spec, entry) in enumerate(zip(template.specs, entries, strict=True)):
        if entry.same_as is not None:
            first = arrays[entry.same_as]
            arrays.append(first.copy() if writable else first)
            continue
        array = found.pop(at)
        unlimited = not finite or entry.non_negative
        if unlimited and not (codec.lossless or entry.exact) and is_weight(array.dtype):
            array = within_limits(array, non_negative=entry.non_negative)
        array = as_users_know_it(restored(array, corrections.pop(at, None), spec))
        if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise PayloadError(
                f"array {template.names[at]} of bool has a byte that is neither 0 nor 1"
            )
        arrays.append(own_copy(array) if writable else array)
    return arrays


def read_entries(info: PayloadInfo, template: Template) -> list[Entry]:
    """Return the table entry of each array, or raise ``PayloadError``."""
    lossy, has_base = not info.codec.lossless, info.base_need != "none"
    return read_table(info.table, template, lossy=lossy, has_base=has_base)


def checked_base(
    info: PayloadInfo, template: Template, entries: Sequence[Entry], base: Base | None
) -> Base | None:
    """Return the base if the payload needs one and it is the right one.

    Raises ``PayloadError`` ("unknown_base") if it is missing or another.
    """
    if info.base_need == "none":
        return None
    if base is None:
        raise PayloadError(
            f"unknown_base: payload needs the {info.base_need} of a base, none given"
        )
    used, fits = None, True
    if base.template.hash != template.hash:
        users = base_users(template, entries, codec=info.codec)
        used = [name for name in users if name is not None]
        specs = dict(zip(template.names, template.specs, strict=True))
        fits = all(base.has(name, specs[name].shape) for name in used)
    if not fits or base.name(info.base_need, used) != info.base_hash:
        raise PayloadError(f"unknown_base: payload needs the {info.base_need} of another base")
    return base


def within_limits(values: Array, *, non_negative: bool = False) -> Array:
    """Limit decoded weights of a stage to values that the coded arrays can have had.

    These were finite: values beyond float32 become the largest number. An array without negative
    values gets none, and survivors stay nonzero. Raises ``PayloadError`` if a weight is NaN.
    """
    if not values.size:
        return values
    lowest, highest = values.min(), values.max()
    if np.isnan(lowest):
        raise PayloadError("a stage decodes to NaN, which it was never given")
    if np.isinf(lowest) or np.isinf(highest):
        values = values.clip(-_LARGEST, _LARGEST)
    if non_negative and lowest < 0:
        values = np.where(values < 0, _SMALLEST, values)
    return values


def as_users_know_it(array: Array) -> Array:
    """Return a bfloat16 array with the ``ml_dtypes`` dtype, if installed; others as they are."""
    if array.dtype != BFLOAT16:
        return array
    try:
        import ml_dtypes
    except ImportError:
        return array
    return array.view(ml_dtypes.bfloat16)
