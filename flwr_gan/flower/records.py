"""Between Flower's records and named numpy arrays, and what a message weighs in transport."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common import Parameters, bytes_to_ndarray, ndarray_to_bytes
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from flwr_gan.errors import PayloadError

Arrays = Mapping[str, np.ndarray[Any, Any]]

PAYLOAD_STYPE = "flwr_gan.payload"
EMPTY_KEY = "_empty"  # Flower's key of the placeholder in a record without arrays


def message_bytes(content: RecordDict) -> int:
    """Return the bytes that Flower's transport stores for a message with this content.

    The sum of the lengths of the deflated objects: the content and all that is nested in it,
    equal objects once.
    """
    return sum(len(item.deflate()) for item in get_all_nested_objects(content).values())


def record_to_arrays(record: ArrayRecord) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a plain record, in order.

    Raises
    ------
    TypeError
        When an entry is not a serialised numpy array.
    """
    return {key: array.numpy() for key, array in record.items() if key != EMPTY_KEY}


def arrays_to_record(arrays: Arrays) -> ArrayRecord:
    """Return the plain record of named arrays; no array gives Flower's placeholder."""
    if not arrays:
        return ArrayRecord({EMPTY_KEY: Array(dtype="", shape=(), stype="numpy.ndarray", data=b"")})
    return ArrayRecord({key: Array(np.ascontiguousarray(a)) for key, a in arrays.items()})


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
    return Parameters([ndarray_to_bytes(array) for array in arrays], "numpy.ndarray")


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
    """Return new records around the same immutable values, as a transport would hand them over."""
    copied = RecordDict()
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            copied[name] = ArrayRecord(dict(record))
        elif isinstance(record, MetricRecord):
            copied[name] = MetricRecord(dict(record))
        else:
            copied[name] = ConfigRecord(dict(record))
    return copied
