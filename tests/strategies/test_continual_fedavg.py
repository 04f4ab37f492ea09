"""Clients that may be silent, and the pool of those that were not."""

import numpy as np
import pytest
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError
from flwr_gan.flower import CodedFitRes
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire import Template, encode_payload
from strategies import ContinualFedAvg


def generate(arrays, labels_N, seed):
    """Tell by the samples which generator and label they are of."""
    return np.stack([np.full((1, 2), arrays["w"][0] + 10 * k, np.float32) for k in labels_N])


def strategy(**settings):
    return ContinualFedAvg(names=["w"], num_classes=4, generate=generate, **settings)


def upload(client, weights, samples, classes):
    arrays = {"0": np.array(weights, np.float32)}
    payload = encode_payload(arrays)
    result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), samples,
                    {"classes": classes, "moved": 0.5})  # fmt: skip
    coded = CodedReply(payload, Template.of(arrays), None, 100)
    return None, CodedFitRes(result, coded, client)


def silence(client, samples):
    result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), samples,
                    {"unchanged": True, "moved": 0.1})  # fmt: skip
    return None, CodedFitRes(result, CodedReply(b"", Template.of({}), None, 0), client)


class NoClients:
    def num_available(self):
        return 0

    def sample(self, *_, **__):
        return []


def round_of(server, replies, broadcast):
    server.configure_fit(1, ndarrays_to_parameters([np.array(broadcast, np.float32)]), NoClients())
    parameters, _ = server.aggregate_fit(1, replies, [])
    return parameters_to_ndarrays(parameters)[0].tolist()


def test_who_is_silent_stands_for_the_broadcast():
    server = strategy(quorum=0)
    mean = round_of(server, [upload(0, [4, 0, 8], 10, "0"), silence(1, 30)], [2, 6, 0])
    assert mean == [(10 * 4 + 30 * 2) / 40, 6, 8]
    assert server.round_measures == {"moved": pytest.approx(0.3), "unchanged": 1, "pool": 1}


def test_when_all_are_silent_nothing_changes():
    server = strategy()
    assert round_of(server, [silence(0, 5), silence(1, 5)], [2, 6, 0]) == [2, 6, 0]
    assert server.round_measures["unchanged"] == 2
    assert server.known_classes == []


def test_the_pool_follows_the_last_upload_of_each_client():
    server = strategy()
    round_of(server, [upload(0, [1, 1, 1], 5, "0,1"), upload(1, [2, 2, 2], 5, "1,2")], [0, 0, 0])
    round_of(server, [upload(0, [3, 3, 3], 5, "0,1,3"), silence(1, 5)], [0, 0, 0])
    assert server.known_classes == [0, 1, 2, 3]
    drawn = server.draw_from_pool(np.array([0, 2, 3, 0]), seed=1)
    assert drawn[:, 0, 0].tolist() == [3, 22, 33, 3]
    both = server.draw_from_pool(np.ones(40, np.int64), seed=1)[:, 0, 0]
    assert set(both.tolist()) == {12, 13}
    with pytest.raises(ConfigError, match="ask for others"):
        strategy().draw_from_pool(np.array([0]), 0)


def test_classes_that_cannot_be_are_left_out():
    server = strategy()
    round_of(server, [upload(0, [1, 1, 1], 5, "0,9,x,-1,²")], [0, 0, 0])
    assert server.known_classes == [0]


def test_the_pool_goes_into_a_checkpoint_and_back():
    server, other = strategy(), strategy()
    round_of(server, [upload(3, [1, 2, 3], 5, "0,1"), upload(11, [4, 5, 6], 5, "2")], [0, 0, 0])
    other.load_state_dict(unflatten(flatten(server.state_dict())))
    labels = np.array([0, 1, 2])
    assert np.array_equal(server.draw_from_pool(labels, 0), other.draw_from_pool(labels, 0))


@pytest.mark.parametrize("settings", [{"replay": 1}, {"threshold": -1}, {"every": 0}])
def test_bad_settings_are_named(settings):
    (key,) = settings
    with pytest.raises(ConfigError, match=f"strategy.{key}="):
        strategy(**settings)
