"""Conversion between Flower's records and named numpy arrays.

An entry of a record is a numpy array in Flower's own serialisation, or *opaque*: bytes of any other
kind, such as a booster's JSON in the legacy API. Opaque bytes are sent as an array of uint8, and
Flower's description of them (dtype, shape, serialisation) in the note. The note also marks arrays
in Fortran order, whose sums differ in the last bit from those in C order.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.common import Parameters, ndarray_to_bytes

from flwr_gan.errors import PayloadError
from flwr_gan.flower.transport import message_bytes as message_bytes
from flwr_gan.wire import Base
from flwr_gan.wire.codecs.arrays import ArraySpec

Arrays = Mapping[str, np.ndarray[Any, Any]]
Entry = tuple[str, tuple[int, ...], str]
Opaque = Mapping[str, Entry]
"""Flower's dtype, shape and serialisation of each opaque entry."""

PAYLOAD_STYPE = "flwr_gan.payload"
NUMPY_STYPE = "numpy.ndarray"
FORTRAN = "fortran"  # instead of a serialisation: a numpy array in Fortran order
EMPTY_KEY = "_empty"  # Flower's key of the placeholder in a legacy record without arrays
_LEGACY_RECORDS = (
    "fitins.parameters",
    "evaluateins.parameters",
    "fitres.parameters",
    "getparametersres.parameters",
)
_NPY_MAGIC = b"\x93NUMPY"
_CODABLE_KINDS = "biufcV"


def read_record(record: ArrayRecord) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Entry]]:
    """Return all arrays of a plain record, and which of them are opaque or in Fortran order.

    Opaque ones are uint8. The arrays are views of the record where possible, not to be written to.
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    opaque: dict[str, Entry] = {}
    for key, array in record.items():
        if key == EMPTY_KEY and not array.data:
            continue
        found = _codable_view(array)
        if found is None:
            opaque[key] = (array.dtype, tuple(array.shape), array.stype)
            found = np.frombuffer(array.data, np.uint8)
        elif not found.flags.c_contiguous:
            opaque[key] = ("", (), FORTRAN)
        arrays[key] = found
    return arrays, opaque


def write_record(arrays: Arrays, opaque: Opaque | None = None, *, name: str = "") -> ArrayRecord:
    """Return the plain record of named arrays, some of which may be opaque.

    In the legacy API an empty record has Flower's placeholder, which needs `name`.
    """
    opaque = opaque or {}
    entries = {}
    for key, array in arrays.items():
        dtype, shape, stype = opaque.get(key, ("", (), ""))
        if key not in opaque:
            entries[key] = _array(array)
        elif stype == FORTRAN:
            entries[key] = _array(np.asfortranarray(array))
        else:
            data = array.tobytes()
            entries[key] = Array(dtype=dtype, shape=tuple(shape), stype=stype, data=data)
    if not entries and name in _LEGACY_RECORDS:
        entries[EMPTY_KEY] = Array(dtype="", shape=(), stype=NUMPY_STYPE, data=b"")
    return ArrayRecord(entries)


def record_to_arrays(record: ArrayRecord) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a plain record, in order and writable.

    Raises ``TypeError`` when an entry is not a serialised numpy array.
    """
    return {key: array.numpy() for key, array in record.items() if key != EMPTY_KEY}


def arrays_to_record(arrays: Arrays) -> ArrayRecord:
    """Return the plain record of named arrays; no array gives Flower's placeholder."""
    return write_record(arrays, name=_LEGACY_RECORDS[0])


def _codable_view(array: Array) -> np.ndarray[Any, Any] | None:
    """Return an array as a view of its bytes, or a copy if necessary; None if it is opaque."""
    data = array.data
    if array.stype != NUMPY_STYPE or not data.startswith(_NPY_MAGIC):
        return None
    try:
        if data[len(_NPY_MAGIC) :][:1] != b"\x01":  # a later version, or no header at all
            return _codable(array.numpy())
        start = len(_NPY_MAGIC) + 4 + int.from_bytes(data[8:10], "little")
        shape, fortran_order, dtype = read_npy_header(data[:start])
        size = math.prod(shape) * dtype.itemsize
        if fortran_order or dtype.hasobject or not size or len(data) != start + size:
            return _codable(array.numpy())
    except (ValueError, EOFError, OSError, SyntaxError):
        return None
    return _codable(np.frombuffer(data, dtype, offset=start).reshape(shape))


def _codable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    dtype = array.dtype
    if dtype.kind not in _CODABLE_KINDS or dtype.names is not None or dtype.subdtype is not None:
        return None
    if dtype.itemsize > 16 or (dtype.kind == "f" and dtype.itemsize > 8):
        return None
    if dtype.kind == "V" and dtype.itemsize != 2:
        return None  # numpy reads bfloat16 as two untyped bytes
    return array


def _array(array: np.ndarray[Any, Any]) -> Array:
    dtype = "bfloat16" if array.dtype.kind == "V" else str(array.dtype)
    shape = tuple(array.shape)
    return Array(dtype=dtype, shape=shape, stype=NUMPY_STYPE, data=npy_bytes(array))


def payload_record(*payloads: bytes) -> ArrayRecord:
    """Return the record that carries payloads, each as an opaque array.

    Its shape is the payload's length, so that Flower's ``arrays_size_mod`` counts it.
    """
    arrays = {
        str(at): Array(dtype="", shape=(len(payload),), stype=PAYLOAD_STYPE, data=payload)
        for at, payload in enumerate(payloads)
    }
    return ArrayRecord(arrays)


def is_payload(record: ArrayRecord) -> bool:
    """Return whether a record carries a payload."""
    return any(array.stype == PAYLOAD_STYPE for array in record.values())


def payload_of(record: ArrayRecord) -> bytes:
    """Return the only payload of a record.

    Raises ``PayloadError`` if it carries something else.
    """
    payloads = payloads_of(record)
    if len(payloads) != 1:
        raise PayloadError(f"expected one payload, got {len(payloads)}")
    return payloads[0]


def payloads_of(record: ArrayRecord) -> list[bytes]:
    """Return the payloads that a record carries, each relative to the one before it.

    Raises ``PayloadError`` when the record carries something else.
    """
    arrays = list(record.values())
    found = ", ".join(sorted({array.stype for array in arrays})) or "nothing"
    if found != PAYLOAD_STYPE:
        raise PayloadError(
            f"expected payloads, got {found}: list compression_mod first in the client's mods"
        )
    return [array.data for array in arrays]


def arrays_to_parameters(arrays: Arrays, opaque: Opaque | None = None) -> Parameters:
    """Return Flower's legacy parameters, with opaque bytes unchanged."""
    entries = write_record(arrays, opaque)
    # The legacy API has one serialisation for all tensors: that of the first.
    stypes = [array.stype for array in entries.values()]
    return Parameters([array.data for array in entries.values()], *stypes[:1] or [NUMPY_STYPE])


def npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """Return the bytes of ``numpy.save``, with one copy of the array instead of several."""
    if not array.flags.c_contiguous or array.dtype.hasobject:
        return ndarray_to_bytes(array)
    if array.dtype.kind == "V":  # bfloat16, which has no buffer; numpy reads and writes its bytes
        return b"".join((_npy_header("<V2", array.shape), array.tobytes()))
    return b"".join((_npy_header(array.dtype.str, array.shape), array.data))


def scattered_parameters(base: Base, survivors: np.ndarray[Any, Any]) -> Parameters:
    """Return legacy parameters with values at a base's survivors and zeros elsewhere.

    The values are written to their places in the bytes, without an intermediate array.
    """
    tensors = []
    supports, parts = base.arrays.supports, base.split(survivors)
    for spec, support, values in zip(base.template.specs, supports, parts, strict=True):
        buffer, array = npy_space(spec)
        array.reshape(-1)[np.asarray(support.positions)] = values
        del array  # it holds the buffer
        tensors.append(buffer.getvalue())
    return Parameters(tensors, NUMPY_STYPE)


def npy_space(spec: ArraySpec) -> tuple[BytesIO, np.ndarray[Any, Any]]:
    """Return a buffer for ``npy_bytes`` of an array of zeros, and this array inside it.

    After the array is deleted, the buffer's value is returned without a copy.
    """
    header = _npy_header(spec.dtype.str, spec.shape)
    # The only reference to these bytes, so the buffer's value is returned without a copy.
    buffer = BytesIO(bytes(len(header) + spec.nbytes))
    view = buffer.getbuffer()
    view[: len(header)] = header
    return buffer, np.ndarray(spec.shape, spec.dtype, buffer=view, offset=len(header))


@lru_cache(maxsize=256)
def read_npy_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether the order is Fortran's, and dtype of an npy header of version 1.0."""
    reader = BytesIO(header)
    np.lib.format.read_magic(reader)
    return np.lib.format.read_array_header_1_0(reader)


@lru_cache(maxsize=256)
def _npy_header(descr: str, shape: tuple[int, ...]) -> bytes:
    header = BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def copy_content(content: RecordDict) -> RecordDict:
    """Return new records with the same values, as from a transport.

    The values were checked when they were set, and are not checked again.
    """
    copied = content.copy()
    for name, record in content.items():
        copied[name] = record.copy()
    return copied
