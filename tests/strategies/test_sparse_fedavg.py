"""Averaging the surviving values alone gives what FedAvg gives, bit for bit."""

import numpy as np
import pytest
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg

from flwr_gan.flower import CodedFitRes
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire import Base, Template, encode_payload
from strategies import SparseFedAvg

CLIENTS = 5
SETTINGS = {"fit_metrics_aggregation_fn": lambda metrics: {"clients": len(metrics)}}


def generator(seed: int, *, kept: float = 0.1) -> dict[str, np.ndarray]:
    masks, rng = np.random.default_rng(7), np.random.default_rng(seed)
    shapes = {"fc": (50, 20), "conv": (6, 5, 3)}
    return {
        name: np.where(masks.random(shape) < kept, rng.normal(size=shape), 0).astype(np.float32)
        for name, shape in shapes.items()
    }


def replies(codec: str, *, odd: dict[str, np.ndarray] | None = None) -> list:
    held = generator(0)
    base, template = Base(held), Template.of(held)
    made = []
    for client in range(CLIENTS):
        arrays = odd if odd is not None and client == 2 else generator(client + 1)
        payload = encode_payload(arrays, codec=codec, base=held, self_contained=False)
        result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), client + 1, {})
        coded = CodedReply(payload, template, base, template.nbytes)
        made.append((None, CodedFitRes(result, coded, client)))
    return made


def averages(codec: str, **settings) -> tuple[list[np.ndarray], list[np.ndarray]]:
    given = replies(codec, **settings)
    dense, metrics = FedAvg(**SETTINGS).aggregate_fit(1, given, [])
    sparse, own_metrics = SparseFedAvg(**SETTINGS).aggregate_fit(1, given, [])
    assert metrics == own_metrics == {"clients": CLIENTS}
    return parameters_to_ndarrays(dense), parameters_to_ndarrays(sparse)


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8", "ternary+sparse"])
def test_same_as_fedavg(codec):
    for ours, theirs in zip(*averages(codec), strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


def test_survivors_alone_are_decoded(monkeypatch):
    given = replies("sparse")
    monkeypatch.setattr(CodedReply, "arrays", lambda self: pytest.fail("a whole reply was decoded"))
    averaged, _ = SparseFedAvg(**SETTINGS).aggregate_fit(1, given, [])
    assert averaged is not None


@pytest.mark.parametrize("codec", ["sparse", "zlib:6"])
def test_other_masks_and_codecs_are_averaged_whole(codec):
    odd = generator(9, kept=0.3)
    for ours, theirs in zip(*averages(codec, odd=odd), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_nothing_to_average():
    assert SparseFedAvg(**SETTINGS).aggregate_fit(1, [], []) == (None, {})
