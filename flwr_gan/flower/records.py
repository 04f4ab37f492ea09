"""Between Flower's records and named numpy arrays."""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.common import Parameters, bytes_to_ndarray, ndarray_to_bytes

from flwr_gan.codecs.arrays import ArraySpec
from flwr_gan.errors import PayloadError
from flwr_gan.flower.transport import message_bytes as message_bytes
from flwr_gan.wire import Base

Arrays = Mapping[str, np.ndarray[Any, Any]]

PAYLOAD_STYPE = "flwr_gan.payload"
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
EMPTY_KEY = "_empty"  # Flower's key of the placeholder in a record without arrays


def record_to_arrays(record: ArrayRecord) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a plain record, in order.

    Raises
    ------
    TypeError
        When an entry is not a serialised numpy array.
    """
    return {key: array.numpy() for key, array in record.items() if key != EMPTY_KEY}


def view_arrays(record: ArrayRecord) -> dict[str, np.ndarray[Any, Any]]:
    """Return what ``record_to_arrays`` does, not to be written to: views of the record's bytes."""
    return {key: _view(array) for key, array in record.items() if key != EMPTY_KEY}


def _view(array: Array) -> np.ndarray[Any, Any]:
    """Return an array as a view of its bytes, as a copy where it must be."""
    data = array.data
    if array.stype != "numpy.ndarray" or not data.startswith(_NPY_MAGIC):
        return array.numpy()
    start = len(_NPY_MAGIC) + 2 + int.from_bytes(data[8:10], "little")
    shape, fortran_order, dtype = _read_npy_header(data[:start])
    size = math.prod(shape) * dtype.itemsize
    if fortran_order or dtype.hasobject or not size or len(data) != start + size:
        return array.numpy()
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def arrays_to_record(arrays: Arrays) -> ArrayRecord:
    """Return the plain record of named arrays; no array gives Flower's placeholder."""
    if not arrays:
        return ArrayRecord({EMPTY_KEY: Array(dtype="", shape=(), stype="numpy.ndarray", data=b"")})
    return ArrayRecord({key: _array(np.ascontiguousarray(a)) for key, a in arrays.items()})


def _array(array: np.ndarray[Any, Any]) -> Array:
    dtype, shape = str(array.dtype), tuple(array.shape)
    return Array(dtype=dtype, shape=shape, stype="numpy.ndarray", data=npy_bytes(array))


def payload_record(payload: bytes) -> ArrayRecord:
    """Return the record that carries one payload as an opaque array."""
    return ArrayRecord({"0": Array(dtype="", shape=(), stype=PAYLOAD_STYPE, data=payload)})


def payload_of(record: ArrayRecord) -> bytes:
    """Return the payload that a record carries.

    Raises
    ------
    PayloadError
        When the record carries something else.
    """
    arrays = list(record.values())
    if len(arrays) != 1 or arrays[0].stype != PAYLOAD_STYPE:
        found = ", ".join(sorted({array.stype for array in arrays})) or "nothing"
        raise PayloadError(
            f"expected one payload, got {found}: list compression_mod in the client's mods"
        )
    return arrays[0].data


def arrays_to_parameters(arrays: Iterable[np.ndarray[Any, Any]]) -> Parameters:
    """Return Flower's legacy parameters."""
    return Parameters([npy_bytes(array) for array in arrays], "numpy.ndarray")


def npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """Return what ``numpy.save`` writes, with one copy of the array where it makes several."""
    if not array.flags.c_contiguous or array.dtype.hasobject:
        return ndarray_to_bytes(array)
    return b"".join((_npy_header(array.dtype.str, array.shape), array.data))


def scattered_parameters(base: Base, survivors: np.ndarray[Any, Any]) -> Parameters:
    """Return legacy parameters with values at a base's survivors and zeros elsewhere."""
    parts = base.split(survivors)
    layers = zip(base.template.specs, base.arrays.positions, parts, strict=True)
    return Parameters([scattered_npy(*layer) for layer in layers], "numpy.ndarray")


def scattered_npy(
    spec: ArraySpec, positions: np.ndarray[Any, Any], values: np.ndarray[Any, Any]
) -> bytes:
    """Return ``npy_bytes`` of an array with values at these positions and zeros elsewhere.

    No array is made and copied: the values go to their places in the bytes.
    """
    header = _npy_header(spec.dtype.str, spec.shape)
    # Nobody else holds these bytes, so that the buffer hands out themselves and no copy.
    buffer = BytesIO(bytes(len(header) + spec.nbytes))
    with buffer.getbuffer() as view:
        view[: len(header)] = header
        if len(positions):
            flat = np.frombuffer(view, spec.dtype, offset=len(header))
            flat[positions] = values
            del flat  # it holds the view
    return buffer.getvalue()


@lru_cache(maxsize=256)
def _read_npy_header(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    reader = BytesIO(header)
    np.lib.format.read_magic(reader)
    return np.lib.format.read_array_header_1_0(reader)


@lru_cache(maxsize=256)
def _npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    header = BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def payload_parameters(payload: bytes) -> Parameters:
    """Return legacy parameters that carry one payload."""
    return Parameters([payload], PAYLOAD_STYPE)


def parameters_payload(parameters: Parameters) -> bytes:
    """Return the payload that legacy parameters carry.

    Raises
    ------
    PayloadError
        When they carry something else.
    """
    if parameters.tensor_type != PAYLOAD_STYPE or len(parameters.tensors) != 1:
        raise PayloadError(
            f"expected one payload, got {len(parameters.tensors)} tensors of type "
            f"{parameters.tensor_type or 'nothing'}: list compression_mod in the client's mods"
        )
    return parameters.tensors[0]


def named_parameters(parameters: Parameters) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of plain legacy parameters, named by position as Flower does."""
    return {str(i): bytes_to_ndarray(tensor) for i, tensor in enumerate(parameters.tensors)}


def copy_content(content: RecordDict) -> RecordDict:
    """Return new records around the same values, as a transport would hand them over.

    The values were checked when they were put in, and are not checked again.
    """
    copied = content.copy()
    for name, record in content.items():
        copied[name] = record.copy()
    return copied
