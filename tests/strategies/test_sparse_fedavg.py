"""Averaging the surviving values alone gives what FedAvg gives, bit for bit."""

import pytest
from flwr.server.strategy import FedAvg

from strategies import SparseFedAvg
from tests.flower.test_averaging import replies

SETTINGS = {"fit_metrics_aggregation_fn": lambda metrics: {"clients": len(metrics)}}


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8", "ternary+sparse"])
@pytest.mark.parametrize("inplace", [False, True])
def test_same_as_fedavg(codec, inplace):
    given = replies(codec)
    theirs = FedAvg(inplace=inplace, **SETTINGS).aggregate_fit(1, given, [])
    assert SparseFedAvg(inplace=inplace, **SETTINGS).aggregate_fit(1, given, []) == theirs


def test_nothing_to_average():
    assert SparseFedAvg(**SETTINGS).aggregate_fit(1, [], []) == (None, {})
