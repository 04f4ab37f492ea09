"""FedBuff and FedAsync: how far old and new replies move the model."""

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.common import (
    Code,
    FitRes,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server.client_manager import SimpleClientManager

from flwr_gan.errors import ConfigError
from flwr_gan.flower import Asynchronous, CodedFitRes
from flwr_gan.flower.broadcasts import Broadcast
from flwr_gan.flower.in_flight import Dispatch, Received
from flwr_gan.flower.memory import Remembered
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire import Base, Template, encode_payload
from strategies import FedAsync, FedBuff

NOW = [np.float32([[1, 2], [3, 4]]), np.float32([5, 6])]


def reply(began: list, ended: list, *, staleness: int = 0, samples: int = 7) -> tuple:
    """Return a reply of a client that was sent some weights and made others of them."""
    held, made = ({str(at): a for at, a in enumerate(arrays)} for arrays in (began, ended))
    broadcast = Broadcast((b"",), Remembered(held, {}, b""), None, None, 0.0, 1.0)
    dispatch = Dispatch(2, None, {"fitins.parameters": broadcast})
    payload = encode_payload(made, base=held, self_contained=False)
    template = Template.of(held)
    coded = CodedReply(payload, template, Base(held), template.nbytes)
    received = Received(None, None, RecordDict(), dispatch)
    result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), samples, {})
    found = CodedFitRes(result, coded, 0, received)
    found.staleness = staleness
    return None, found


def moved(strategy, replies: list, now: list = NOW) -> list:
    strategy.configure_fit(1, ndarrays_to_parameters(now), SimpleClientManager())
    parameters, _ = strategy.aggregate_fit(1, replies, [])
    return parameters_to_ndarrays(parameters)


def settings() -> dict:
    return {"min_available_clients": 0, "min_fit_clients": 0, "fraction_fit": 0.0}


def test_fedbuff_adds_the_mean_change_from_what_each_client_was_sent():
    old = [layer - 10 for layer in NOW]
    fresh = reply(NOW, [layer + 2 for layer in NOW], samples=1)
    stale = reply(old, [layer + 4 for layer in old], staleness=3, samples=100)
    result = moved(FedBuff(buffer_size=2, **settings()), [fresh, stale])
    for layer, before in zip(result, NOW, strict=True):
        assert layer.dtype == np.float32
        assert layer == pytest.approx(before + (2 + 4 / 2) / 2)  # (1 + 3) ** -0.5 is a half
    half = moved(FedBuff(server_lr=0.5, staleness_exponent=0, **settings()), [fresh, stale])
    assert half[0] == pytest.approx(NOW[0] + 0.5 * 3)


def test_fedasync_mixes_by_age():
    theirs = [layer + 8 for layer in NOW]
    strategy = FedAsync(alpha=0.5, **settings())
    assert moved(strategy, [reply(NOW, theirs)])[0] == pytest.approx(NOW[0] + 4)
    assert moved(strategy, [reply(NOW, theirs, staleness=3)])[0] == pytest.approx(NOW[0] + 2)
    assert strategy.round_measures == {"staleness": 3.0}
    assert strategy.buffer_size == 1


@pytest.mark.parametrize("cls", [FedBuff, FedAsync])
def test_without_a_reply_nothing_moves(cls):
    strategy = cls(**settings())
    assert isinstance(strategy, Asynchronous)
    assert strategy.aggregate_fit(1, [], []) == (None, {})


def test_fedbuff_needs_the_wire():
    result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters(NOW), 1, {})
    with pytest.raises(TypeError, match="wrap it in CompressedStrategy"):
        moved(FedBuff(**settings()), [(None, result)])


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: FedBuff(buffer_size=0), "strategy.buffer_size=0"),
        (lambda: FedBuff(server_lr=0.0), "strategy.server_lr=0.0"),
        (lambda: FedAsync(alpha=1.5), "strategy.alpha=1.5"),
        (lambda: FedAsync(staleness_exponent=-1.0), "strategy.staleness_exponent=-1.0"),
    ],
)
def test_settings_are_checked(make, key):
    with pytest.raises(ConfigError, match=key):
        make()
