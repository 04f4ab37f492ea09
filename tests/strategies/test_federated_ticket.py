"""The shared ticket: schedule, masks, rewinding, averaging."""

from itertools import pairwise

import numpy as np
import pytest
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError, LayerCollapseError
from flwr_gan.prune import pruned_count
from strategies import FederatedTicket

SHAPES = ((6, 5), (4, 5))
SIZE = sum(a * b for a, b in SHAPES)


class Proxy(ClientProxy):
    node_id = 0

    def get_properties(self, ins, timeout, group_id): ...
    def get_parameters(self, ins, timeout, group_id): ...
    def fit(self, ins, timeout, group_id): ...
    def evaluate(self, ins, timeout, group_id): ...
    def reconnect(self, ins, timeout, group_id): ...


def initial():
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in SHAPES]


def make(**settings) -> FederatedTicket:
    defaults = {"rate": 0.5, "iterations": 2, "rounds_per_level": 2}
    return FederatedTicket(
        initial_parameters=ndarrays_to_parameters(initial()), **(defaults | settings)
    )


def manager() -> SimpleClientManager:
    clients = SimpleClientManager()
    for name in ("1", "2"):
        clients.register(Proxy(name))
    return clients


def reply(arrays, count=1) -> tuple[ClientProxy, FitRes]:
    parameters = ndarrays_to_parameters(arrays)
    return Proxy("1"), FitRes(Status(Code.OK, ""), parameters, count, {})


def play(strategy, train):
    """Run all rounds with `train(round, client, arrays)`; return broadcasts, averages, configs."""
    parameters = strategy.initialize_parameters(manager())
    broadcasts, averages, configs = [], [], []
    for server_round in range(1, strategy.num_rounds + 1):
        orders = strategy.configure_fit(server_round, parameters, manager())
        sent = parameters_to_ndarrays(orders[0][1].parameters)
        replies = [reply(train(server_round, c, sent), count=c + 1) for c in range(len(orders))]
        parameters, _ = strategy.aggregate_fit(server_round, replies, [])
        broadcasts.append(sent)
        averages.append(parameters_to_ndarrays(parameters))
        configs.append(dict(orders[0][1].config))
    return broadcasts, averages, configs


def drift(server_round, client, arrays):
    """Move surviving weights a little, differently at each client."""
    rng = np.random.default_rng((server_round, client))
    return [
        np.where(a != 0, a + 0.01 * rng.standard_normal(a.shape), 0).astype(np.float32)
        for a in arrays
    ]


def zeros(arrays) -> np.ndarray:
    return np.concatenate([a.ravel() == 0 for a in arrays])


@pytest.mark.parametrize(("train_final", "rounds"), [(True, 6), (False, 4)])
def test_number_of_rounds(train_final, rounds):
    assert make(train_final=train_final).num_rounds == rounds


@pytest.mark.parametrize("rewind", ["init", "early", "none"])
def test_masks_are_nested_and_counts_exact(rewind):
    broadcasts, averages, configs = play(make(rewind=rewind), drift)
    for server_round, sent in enumerate(broadcasts, start=1):
        level = (server_round - 1) // 2
        assert zeros(sent).sum() == pruned_count(SIZE, 0.5, level)
        assert configs[server_round - 1]["masked"] == (level > 0)
        expected = 2 * level + 1 if level and rewind != "none" else None
        assert configs[server_round - 1].get("restart_from") == expected
    for before, after in pairwise(broadcasts):
        assert not (zeros(before) & ~zeros(after)).any()
    assert (zeros(averages[-1]) == zeros(broadcasts[-1])).all()


def test_rewinding_returns_survivors_to_their_initial_weights_bit_for_bit():
    broadcasts, _, _ = play(make(rewind="init"), drift)
    for start in (2, 4):
        for sent, first in zip(broadcasts[start], initial(), strict=True):
            assert sent.tobytes() == np.where(sent != 0, first, np.float32(0)).tobytes()


def test_early_rewinding_returns_to_the_average_of_an_early_round():
    broadcasts, averages, _ = play(make(rewind="early", rewind_round=1), drift)
    for sent, early in zip(broadcasts[2], averages[0], strict=True):
        assert sent.tobytes() == np.where(sent != 0, early, np.float32(0)).tobytes()


def test_without_rewinding_survivors_go_on():
    broadcasts, averages, _ = play(make(rewind="none"), drift)
    for sent, trained in zip(broadcasts[2], averages[1], strict=True):
        assert sent.tobytes() == np.where(sent != 0, trained, np.float32(0)).tobytes()


def test_what_is_pruned_is_the_smallest_of_the_averaged_weights():
    broadcasts, averages, _ = play(make(rewind="init"), drift)
    size = np.concatenate([np.abs(a).ravel() for a in averages[1]])
    gone = zeros(broadcasts[2])
    assert size[gone].max() <= size[~gone].min()


def test_as_printed_the_last_pruning_comes_after_the_last_training():
    _, averages, _ = play(make(train_final=False), drift)
    assert zeros(averages[-1]).sum() == pruned_count(SIZE, 0.5, 2)


def test_average_is_weighted_by_samples():
    strategy = make()
    one = [np.full(shape, 1.0, np.float32) for shape in SHAPES]
    four = [np.full(shape, 4.0, np.float32) for shape in SHAPES]
    mean, _ = strategy.aggregate_fit(1, [reply(one, 2), reply(four, 1)], [])
    assert all((a == 2.0).all() for a in parameters_to_ndarrays(mean))


def test_without_replies_the_broadcast_stays_the_model():
    strategy = make()
    parameters = strategy.initialize_parameters(manager())
    strategy.configure_fit(1, parameters, manager())
    assert strategy.aggregate_fit(1, [], [RuntimeError("gone")]) == (parameters, {})


def test_a_level_whose_first_round_fails_keeps_its_mask_and_its_rewinding():
    strategy = make(rewind="init")
    parameters = strategy.initialize_parameters(manager())
    for server_round in (1, 2, 3, 4):
        orders = strategy.configure_fit(server_round, parameters, manager())
        sent = parameters_to_ndarrays(orders[0][1].parameters)
        replies = [] if server_round == 3 else [reply(drift(server_round, 0, sent))]
        parameters, _ = strategy.aggregate_fit(server_round, replies, [])
    assert zeros(sent).sum() == pruned_count(SIZE, 0.5, 1)
    for array, first in zip(sent, initial(), strict=True):
        assert array.tobytes() == np.where(array != 0, first, np.float32(0)).tobytes()


def test_pruned_weights_that_a_client_sends_back_are_ignored():
    broadcasts, averages, _ = play(make(), lambda r, c, arrays: [a + 1 for a in arrays])
    assert (zeros(averages[2]) == zeros(broadcasts[2])).all()


def test_a_collapsed_layer_is_named():
    strategy = make(rate=0.9, iterations=2, names=["first", "second"])
    small = [np.ones(SHAPES[0], np.float32), np.full(SHAPES[1], 1e-6, np.float32)]
    with pytest.raises(LayerCollapseError, match="second"):
        play(strategy, lambda r, c, arrays: small)


def test_state_survives_a_checkpoint():
    through, resumed = make(rewind="early"), make(rewind="early")
    parameters = through.initialize_parameters(manager())
    for server_round in (1, 2, 3):
        orders = through.configure_fit(server_round, parameters, manager())
        sent = parameters_to_ndarrays(orders[0][1].parameters)
        parameters, _ = through.aggregate_fit(
            server_round, [reply(drift(server_round, 0, sent))], []
        )
    resumed.load_state_dict(unflatten(flatten(through.state_dict())))
    for server_round in (4, 5):
        one, two = (
            s.configure_fit(server_round, parameters, manager())[0][1].parameters.tensors
            for s in (through, resumed)
        )
        assert one == two


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"rewind": "back"}, "strategy.rewind='back'"),
        ({"rounds_per_level": 0}, "strategy.rounds_per_level=0"),
        ({"rewind_round": 3}, "strategy.rewind_round=3"),
        ({"rounds_per_level": 1.5}, "strategy.rounds_per_level=1.5"),
        ({"iterations": "abc"}, "strategy.iterations='abc'"),
        ({"iterations": -1}, "strategy.iterations=-1"),
        ({"train_final": "maybe"}, "strategy.train_final='maybe'"),
        ({"iterations": 0, "train_final": False}, "strategy.train_final=False"),
        ({"proximal_mu": -1.0}, "strategy.proximal_mu=-1.0"),
        ({"rate": 1.0}, "lottery.rate=1.0"),
    ],
)
def test_bad_settings(settings, text):
    with pytest.raises(ConfigError, match=text):
        make(**settings)
