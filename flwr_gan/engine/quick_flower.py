"""Faster versions of Flower's records and legacy rounds, with the same results.

For small models, Flower's own conversions take most of a client update: each value set in a record
is checked against types that are built each time, each view of a record dictionary is filled
through these checks, each array passes through ``numpy.save`` and ``numpy.load``, and the clients
of a round wait for each other in threads. Each replacement here handles the common case in one step
and calls Flower's own function for everything else.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import flwr.server.server as server_module
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common import Code

from flwr_gan.flower.flwr_private import TypedDict, parameter_module, recorddict_module
from flwr_gan.flower.records import npy_bytes, read_npy_header

Record = type[ArrayRecord] | type[ConfigRecord] | type[MetricRecord]


RunJobs = Callable[[Sequence[Callable[[], Any]]], list[Any]]
"""Calls jobs, one after the other or in parallel; returns their results in order."""

_RECORDS = (ArrayRecord, ConfigRecord, MetricRecord)
_NPY_1_0 = b"\x93NUMPY\x01\x00"
_MISSING = object()

_View = recorddict_module._SyncedDict
_array_init = Array.__init__
_checked_set = TypedDict.__setitem__
_checked_record_set = RecordDict.__setitem__
_checked_view_set = _View.__setitem__
_bytes_to_ndarray = parameter_module.bytes_to_ndarray
_ndarray_to_bytes = parameter_module.ndarray_to_bytes


@contextmanager
def quick_flower(run_jobs: RunJobs) -> Iterator[None]:
    """Replace the slow steps of Flower inside the context.

    `run_jobs` calls the clients of a legacy round. Their results are in the order of the strategy's
    instructions; Flower's own threads return them in any order.
    """
    replacements: list[tuple[Any, str, object]] = [
        (server_module, "fit_clients", partial(ask_clients, "fit", run_jobs)),
        (server_module, "evaluate_clients", partial(ask_clients, "evaluate", run_jobs)),
        (parameter_module, "bytes_to_ndarray", bytes_to_ndarray),
        (parameter_module, "ndarray_to_bytes", ndarray_to_bytes),
        (Array, "__init__", _init_array),
        (RecordDict, "__setitem__", _set_record),
        (ArrayRecord, "__setitem__", _setter(Array)),
        (ConfigRecord, "__setitem__", _setter(bool, int, float, str, bytes)),
        (MetricRecord, "__setitem__", _setter(int, float)),
        (_View, "__setitem__", _set_in_view),
        (RecordDict, "array_records", property(partial(_records_of, ArrayRecord))),
        (RecordDict, "config_records", property(partial(_records_of, ConfigRecord))),
        (RecordDict, "metric_records", property(partial(_records_of, MetricRecord))),
    ]
    found = [(owner, name, vars(owner).get(name, _MISSING)) for owner, name, _ in replacements]
    for owner, name, quick in replacements:
        setattr(owner, name, quick)
    try:
        yield
    finally:
        for owner, name, original in found:
            if original is _MISSING:  # it was inherited
                delattr(owner, name)
            else:
                setattr(owner, name, original)


def bytes_to_ndarray(tensor: bytes) -> np.ndarray[Any, Any]:
    """Return the writable array of ``numpy.load``, without parsing a known header again."""
    if tensor.startswith(_NPY_1_0):
        start = 10 + int.from_bytes(tensor[8:10], "little")
        try:
            shape, fortran_order, dtype = read_npy_header(tensor[:start])
            if not fortran_order and dtype.kind in "biufc":
                return np.frombuffer(tensor, dtype, offset=start).reshape(shape).copy()
        except ValueError:  # an empty array, or bytes that are no array: for numpy to say
            pass
    array: np.ndarray[Any, Any] = _bytes_to_ndarray(tensor)
    return array


def ndarray_to_bytes(ndarray: np.ndarray[Any, Any]) -> bytes:
    """Return the bytes of ``numpy.save``, without building a known header again."""
    if type(ndarray) is np.ndarray and ndarray.dtype.kind in "biufc":
        return npy_bytes(ndarray)
    return _ndarray_to_bytes(ndarray)


def ask_clients(
    method: str,
    run_jobs: RunJobs,
    client_instructions: list[tuple[Any, Any]],
    max_workers: int | None,
    timeout: float | None,
    group_id: int,
) -> tuple[list[tuple[Any, Any]], list[Any]]:
    """Replace Flower's ``fit_clients`` and ``evaluate_clients``, with jobs for ``run_jobs``."""
    jobs = [
        partial(_outcome, getattr(client, method), ins, timeout=timeout, group_id=group_id)
        for client, ins in client_instructions
    ]
    results: list[tuple[Any, Any]] = []
    failures: list[Any] = []
    for (client, _), found in zip(client_instructions, run_jobs(jobs), strict=True):
        if isinstance(found, Exception):
            failures.append(found)
        else:
            (results if found.status.code == Code.OK else failures).append((client, found))
    return results, failures


def _outcome(ask: Callable[..., Any], ins: object, **settings: object) -> Any:
    try:
        return ask(ins, **settings)
    except Exception as error:  # a failure of the client is for the strategy
        return error


def _init_array(self: Array, *args: Any, **given: Any) -> None:
    """Take the four parts of an array by name, all of their own types."""
    if not args and len(given) == 4:
        dtype, shape, stype, data = map(given.get, ("dtype", "shape", "stype", "data"))
        right = type(dtype) is str and type(stype) is str and type(data) is bytes
        if right and type(shape) is tuple and all(type(size) is int for size in shape):
            vars(self).update(given, _is_dirty=True)
            return
    _array_init(self, *args, **given)


def _set_record(self: RecordDict, key: str, value: Any) -> None:
    """Set a new record, or replace one of the same type."""
    data, kind = vars(self)["_data"], type(value)
    if type(key) is str and kind in _RECORDS and type(data.get(key, value)) is kind:
        data[key] = value
    else:
        _checked_record_set(self, key, value)


def _setter(*types: type) -> Callable[[Any, str, Any], None]:
    """Return a setter for single values of these types; Flower checks lists."""

    def set_value(self: Any, key: str, value: Any) -> None:
        if type(key) is str and type(value) in types:
            vars(self)["_data"][key] = value
        else:
            _checked_set(self, key, value)

    return set_value


def _set_in_view(self: Any, key: str, value: Any) -> None:
    """Set a record in a view and in its dictionary."""
    if type(key) is str and type(value) is self.allowed_type:
        vars(self)["_data"][key] = value
        self.recorddict[key] = value
    else:
        _checked_view_set(self, key, value)


def _is_of(record: object, kind: Record) -> bool:
    """Return ``isinstance(record, kind)``, which is slow if false."""
    own = type(record)
    return own is kind if own in _RECORDS else isinstance(record, kind)


def _records_of(kind: Record, self: RecordDict) -> Any:
    """Return the view of the records of one kind; changes also apply to the dictionary."""
    view = _View.__new__(_View)
    vars(view).update(
        _check_key_fn=vars(self)["_check_key_fn"],
        _check_value_fn=view.check_value,
        _data={k: r for k, r in vars(self)["_data"].items() if _is_of(r, kind)},
        recorddict=self,
        allowed_type=kind,
    )
    return view
