"""Flower in fewer steps does what Flower does."""

import pickle
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, MetricRecord, RecordDict
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server import server as server_module
from flwr.server.strategy import FedAvg
from flwr.serverapp import ServerApp

from flwr_gan.engine import quick_flower as module
from flwr_gan.engine.quick_flower import quick_flower
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower.flwr_private import parameter_module


def one_by_one(jobs):
    return [job() for job in jobs]


def outcome(call):
    """Return what a call gives, or how it fails."""
    try:
        return call()
    except Exception as error:
        return type(error), str(error)


class MyArrays(ArrayRecord):
    pass


class MyText(str):
    pass


def array(**changed):
    given = {"dtype": "float32", "shape": (1,), "stype": "numpy.ndarray", "data": b"x"}
    return Array(**given | changed)


def assigned(record, key, value):
    record[key] = value
    return dict(record)


def seen_in_views(record):
    views = record.array_records, record.config_records, record.metric_records
    return [list(view) for view in views]


def changed_through_a_view(name, value):
    record = RecordDict({"a": ArrayRecord(), "c": ConfigRecord({"x": 1})})
    view = getattr(record, name)
    view["new"] = value
    del view["new"]
    view["other"] = value
    return list(record), list(view), type(record["other"])


CALLS = [
    *(
        lambda kind=kind, key=key, value=value: assigned(kind(), key, value)
        for kind in (ConfigRecord, MetricRecord, RecordDict, ArrayRecord)
        for key in ("a", MyText("a"), 3, None)
        for value in (
            1, 2.5, True, "s", b"b", [1, 2], [1, "x"], [], None, {}, np.float64(1), MyText("x"),
            array(), ArrayRecord(), MyArrays(), ConfigRecord({"x": 1}), MetricRecord({"m": 1.0}),
        )
    ),
    *(
        lambda changed=changed: vars(array(**changed))
        for changed in (
            {}, {"shape": ()}, {"shape": [1]}, {"shape": ("1",)}, {"shape": (np.int64(1),)},
            {"data": bytearray(b"x")}, {"data": None}, {"dtype": None}, {"stype": 1},
            {"ndarray": np.ones(2)},
        )
    ),
    lambda: vars(Array("float32", (1,), "numpy.ndarray", b"x")),
    lambda: vars(Array(np.ones(2))),
    lambda: Array(),
    lambda: seen_in_views(RecordDict({"a": ArrayRecord(), "b": MyArrays(), "c": ConfigRecord()})),
    *(
        lambda name=name, value=value: changed_through_a_view(name, value)
        for name in ("array_records", "config_records", "metric_records")
        for value in (ArrayRecord(), MyArrays(), ConfigRecord(), MetricRecord(), 3)
    ),
]  # fmt: skip


def test_every_record_takes_and_refuses_what_it_did():
    plain = [outcome(call) for call in CALLS]
    with quick_flower(one_by_one):
        quick = [outcome(call) for call in CALLS]
    assert quick == plain
    assert sum(isinstance(found, tuple) and isinstance(found[0], type) for found in plain) > 100


ARRAYS = [
    np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.float32(3),
    np.zeros((0, 3)), np.array(5), np.arange(6)[::2], np.array([1 + 2j]), np.array([True]),
    np.arange(3, dtype=">f4"), np.array(["a"]), np.array(b"x"), np.zeros(2, "V2"),
    np.zeros(2, [("x", "i4")]), np.float16([1.5, np.nan, -0.0]),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_arrays_have_the_bytes_of_numpy_and_come_back_alike(array):
    plain = outcome(lambda: parameter_module.ndarray_to_bytes(array))
    assert outcome(lambda: module.ndarray_to_bytes(array)) == plain
    if isinstance(plain, bytes):
        expected = parameter_module.bytes_to_ndarray(plain)
        found = module.bytes_to_ndarray(plain)
        assert (found.dtype, found.shape, found.flags.writeable, found.flags.fortran) == (
            expected.dtype, expected.shape, expected.flags.writeable, expected.flags.fortran,
        )  # fmt: skip
        assert found.tobytes() == expected.tobytes()


NPY = parameter_module.ndarray_to_bytes(np.arange(4))


@pytest.mark.parametrize("data", [b"", b"x", NPY[:5], NPY[:9], NPY[:-1], NPY + b"x", NPY[:40]])
def test_bytes_that_are_no_array_fail_alike(data):
    def read(function):
        found = outcome(lambda: function(data))
        return found.tolist() if isinstance(found, np.ndarray) else found

    assert read(module.bytes_to_ndarray) == read(parameter_module.bytes_to_ndarray)


def test_everything_is_put_back():
    def state():
        owners = [server_module, parameter_module, Array, RecordDict, ArrayRecord, ConfigRecord]
        return [dict(vars(owner)) for owner in [*owners, MetricRecord, module._View]]

    def fails():
        with quick_flower(one_by_one):
            assert state() != before
            with quick_flower(one_by_one):
                pass
            raise KeyError

    before = state()
    with pytest.raises(KeyError):
        fails()
    assert state() == before


def test_records_made_inside_can_be_pickled_outside():
    with quick_flower(one_by_one):
        record = RecordDict({"a": ArrayRecord([np.ones(2)]), "c": ConfigRecord({"x": [1]})})
        inside = pickle.dumps(record)
    assert pickle.loads(pickle.dumps(record)) == pickle.loads(inside) == record


def averaged(rounds, *, quick):
    """Return the weights of each round of plain FedAvg, and which clients failed."""
    weights, failures = [], []

    class Client(NumPyClient):
        def __init__(self, node):
            self.node = node

        def fit(self, parameters, config):
            parameters[0] += self.node  # what others are sent does not change
            if self.node == 4:
                raise ValueError("no data")
            return parameters, self.node, {"loss": 0.5}

        def evaluate(self, parameters, config):
            return float(parameters[0].sum()), 1, {}

    class Strategy(FedAvg):
        def aggregate_fit(self, server_round, results, failed):
            results.sort(key=lambda pair: int(pair[0].cid))
            failures.append(len(failed))
            found = super().aggregate_fit(server_round, results, failed)
            weights.append(parameters_to_ndarrays(found[0])[0].tolist())
            return found

        def aggregate_evaluate(self, server_round, results, failed):
            weights.append(sorted(result.loss for _, result in results))
            return super().aggregate_evaluate(server_round, results, failed)

    def server_fn(context: Context) -> ServerAppComponents:
        first = ndarrays_to_parameters([np.linspace(0, 1, 4, dtype=np.float32)])
        strategy = Strategy(min_available_clients=4, initial_parameters=first)
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    def client_fn(context: Context):
        return Client(context.node_id).to_client()

    patch = pytest.MonkeyPatch()
    if not quick:
        engine = sys.modules["flwr_gan.engine.run_apps"]
        patch.setattr(engine, "quick_flower", lambda _: nullcontext())
    with patch.context():
        run_apps(
            ServerApp(server_fn=server_fn), ClientApp(client_fn), num_supernodes=4, run_config={}
        )
    patch.undo()
    return weights, failures


def test_rounds_of_the_legacy_api_are_the_same_bit_for_bit():
    plain = averaged(3, quick=False)
    assert averaged(3, quick=True) == plain
    assert plain[1] == [1, 1, 1]
