"""Error feedback over whole payloads: the loss of a lossy codec is added to the next payload."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from flwr_gan.wire.base import Base
from flwr_gan.wire.bundles import without_stages
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.base import Codec
from flwr_gan.wire.codecs.library import RawCodec
from flwr_gan.wire.codecs.registry import get_codec
from flwr_gan.wire.codecs.stage import lost
from flwr_gan.wire.decoding import as_users_know_it
from flwr_gan.wire.encoding import Encoded, encode_arrays
from flwr_gan.wire.floats import DOUBLE, from_float32, is_float, surviving_float32
from flwr_gan.wire.forms import delivered
from flwr_gan.wire.memories import Memories
from flwr_gan.wire.payload import as_arrays, decode_payload
from flwr_gan.wire.template import Template

LANES = 256
"""Partial sums to which squares are added in turn, for equal results with and without numba."""

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Sent:
    """A payload, and the sender's knowledge about it.

    Parameters
    ----------
    payload : bytes
        The bytes to send.
    decoded : dict of str to numpy.ndarray
        The receiver's arrays: exactly the result of ``decode_payload``. Not to be written to; with
        a lossless codec they may be views of the given arrays.
    residual : dict of str to numpy.ndarray of float32
        For each array coded with loss: wanted minus decoded values, zero for pruned weights. Pass
        it to the next call. Empty if nothing was lost.
    arrived_share : float
        ``1 - |lost|^2 / |change|^2`` over the arrays coded with loss, where ``lost`` is wanted
        minus decoded values, and ``change`` is wanted values minus the base's (minus 0 if the base
        does not have the array). NaN if nothing was coded with loss, or the change is 0.
    memory : dict of str to numpy.ndarray of float32
        Memory of the codec's stages, such as momentum; empty for most. Pass it to the next call.
    """

    payload: bytes
    decoded: dict[str, Array]
    residual: dict[str, Array]
    arrived_share: float
    memory: dict[str, Array] = field(default_factory=dict)


def encode_to_send(
    arrays: Mapping[str, Any],
    *,
    codec: str | Codec = "sparse",
    base: Base | Mapping[str, Any] | None = None,
    residual: Mapping[str, Array] | None = None,
    memory: Mapping[str, Array] | None = None,
    self_contained: bool = True,
) -> Sent:
    """Code arrays plus the residual of the previous payload, and return the new residual.

    The wanted values are array plus residual, except for weights that the sum would prune, make
    negative in an array without negative values, or make infinite: these are wanted as they are.
    Pruned weights stay pruned. An array with a residual that is sent exactly delivers the residual
    in full, so that over all rounds nothing is lost.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray, torch.Tensor or array_like
        The arrays that the receiver should have.
    codec, base, self_contained
        As for ``encode_payload``.
    residual : mapping of str to numpy.ndarray of float32, optional
        ``Sent.residual`` of the previous call. Entries without a float array of that name and shape
        are ignored.
    memory : mapping of str to numpy.ndarray of float32, optional
        ``Sent.memory`` of the previous call, for codecs with stages that have a memory.

    Raises
    ------
    CodecError
        As for ``encode_payload``.
    """
    chosen = get_codec(codec) if isinstance(codec, str) else codec
    held = base if base is None or isinstance(base, Base) else Base(base)
    named = as_arrays(arrays)
    memories = Memories(chosen, memory or {}, held)
    gathered = memories.gather(named)
    rest = dict(residual or {})
    for name, more in gathered.items():
        left = rest.get(name)
        rest[name] = more + left if left is not None and np.shape(left) == more.shape else more
    wanted: dict[str, Array] = {}
    for name, left in rest.items():
        array = named.get(name)
        if array is not None and is_float(array.dtype) and array.shape == np.shape(left):
            named[name], wanted[name] = _with_residual(array, np.asarray(left))
    encoded = encode_arrays(
        named, codec=chosen, base=held, self_contained=self_contained, wanted=wanted
    )
    if not encoded.lossy:
        raw = isinstance(without_stages(chosen), RawCodec)
        decoded = {
            name: _read_only(as_users_know_it(delivered(array, strict=raw)))
            for name, array in named.items()
        }
        return Sent(encoded.payload, decoded, {}, math.nan, memories.settle(decoded))
    decoded = _decoded(encoded, Template.of(named), held)
    received = as_arrays(decoded)
    change, missing = 0.0, 0.0
    leftover = {}
    for name in encoded.lossy:
        ours = name in wanted
        aim = wanted[name] if ours else surviving_float32(named[name])
        known = held is not None and held.has(name, aim.shape)
        near = held.of([name])[0] if known and held is not None else None
        got = surviving_float32(received[name])
        left = aim if ours else np.empty(aim.shape, np.float32)
        of_error, of_change = _left_over(aim, got, near, left)
        leftover[name] = left
        missing += of_error
        change += of_change
    share = 1 - missing / change if change else math.nan
    return Sent(encoded.payload, decoded, leftover, share, memories.settle(received))


def encode_with_feedback(
    arrays: Mapping[str, Any],
    residual: Mapping[str, Array] | None,
    *,
    codec: str | Codec = "sparse",
    base: Base | Mapping[str, Any] | None = None,
    self_contained: bool = True,
) -> tuple[bytes, dict[str, Array]]:
    """Return only the payload and the residual of ``encode_to_send``."""
    sent = encode_to_send(
        arrays, codec=codec, base=base, residual=residual, self_contained=self_contained
    )
    return sent.payload, sent.residual


def _with_residual(array: Array, left: Array) -> tuple[Array, Array]:
    """Return the wanted values, in the array's own type and as float32."""
    double = array.dtype.newbyteorder("<") == DOUBLE
    single = array.astype(DOUBLE, copy=False) if double else surviving_float32(array)
    moved = np.empty_like(single)
    before, rest, after = single.reshape(-1), left.reshape(-1), moved.reshape(-1)
    parts = _parts(array.size)
    lowest = 0.0 if all(before[part].min() >= 0 for part in parts) else -math.inf
    for part in parts:
        _add(before[part], rest[part], lowest, after[part])
    if double:
        return moved.astype(array.dtype, copy=False), surviving_float32(moved)
    return from_float32(moved, array.dtype), moved


def _add(before: Array, left: Array, lowest: float, after: Array) -> None:
    """Write ``before + left`` to ``after``, or ``before`` where the sum is not allowed."""
    loops = _loops(before, left)
    if loops is not None:
        loops.add_residual(_read_only(before), _read_only(left), lowest, after)
        return
    with np.errstate(invalid="ignore", over="ignore"):
        np.add(before, left, out=after)
    keeps = (before == 0) | (after == 0) | ~np.isfinite(after) | (after < lowest)
    np.copyto(after, before, where=keeps)


def _decoded(encoded: Encoded, template: Template, base: Base | None) -> dict[str, Array]:
    """Return the decoded arrays: from the encoder if known, else by decoding the payload."""
    if encoded.decoded is None:
        payload = encoded.payload
        arrays = decode_payload(
            payload, template=template, base=base, max_bytes=None, writable=False
        )
    else:
        with np.errstate(all="ignore"):
            arrays = dict(zip(template.names, encoded.decoded(), strict=True))
    return {name: _read_only(array) for name, array in arrays.items()}


def _left_over(aim: Array, got: Array, near: Array | None, left: Array) -> tuple[float, float]:
    """Write the loss of weights to ``left``; return the sums of squares of loss and change.

    Block by block, so that results stay in the cache. ``left`` may be ``aim``: allocating that much
    memory takes as long as filling it.
    """
    rest, nothing = np.empty(_BLOCK, np.float32), np.empty(0, np.float32)
    of_error, of_change = 0.0, 0.0
    for part in _parts(aim.size):
        held = nothing if near is None else near.reshape(-1)[part]
        wanted = aim.reshape(-1)[part]
        lost_of = rest[: len(wanted)]
        error, change = _lost(wanted, got.reshape(-1)[part], held, lost_of)
        left.reshape(-1)[part] = lost_of
        of_error += error
        of_change += change
    return of_error, of_change


def _lost(wanted: Array, got: Array, near: Array, left: Array) -> tuple[float, float]:
    """Write the loss of one block to ``left``, and return the sums of squares."""
    loops = _loops(wanted, got, near)
    if loops is not None:
        squares = np.zeros((2, LANES))
        loops.left_over(_read_only(wanted), _read_only(got), _read_only(near), left, squares)
        return float(squares[0].sum()), float(squares[1].sum())
    error = lost(wanted, got)
    np.copyto(left, error)
    left[wanted == 0] = 0
    return _squares(error), _squares(lost(wanted, near) if len(near) else wanted)


def _loops(*arrays: Array) -> ModuleType | None:
    """Return numba's loops if they can take these arrays."""
    return compiled.kernels() if all(a.dtype == np.float32 for a in arrays) else None


def _read_only(array: Array) -> Array:
    """Return a read-only view: numba compiles a separate loop for writable arrays."""
    view = array.view()
    view.flags.writeable = False
    return view


def _parts(size: int) -> list[slice]:
    return [slice(at, at + _BLOCK) for at in range(0, size, _BLOCK)]


def _squares(values: Array) -> float:
    """Return the sum of the squares in double precision, added in the order of the kernels."""
    wide = np.zeros(-(-len(values) // LANES) * LANES)
    np.multiply(values, values, out=wide[: len(values)], dtype=DOUBLE)
    return float(wide.reshape(-1, LANES).sum(axis=0).sum())
