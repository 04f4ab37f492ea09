"""Memory between rounds: who holds what, and what happens when it is lost."""

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.server.strategy import FedAvg

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import PayloadError
from flwr_gan.flower import CompressedMessageStrategy, CompressedStrategy, compression_mod
from flwr_gan.flower.memory import KEPT_BROADCASTS, ClientMemory, Remembered, ServerMemory
from flwr_gan.wire import Template, encode_payload
from tests.flower.foreign import legacy, messages


class Node:
    """A stand-in for Flower's context: the memory uses its state alone."""

    def __init__(self) -> None:
        self.state = RecordDict()


def weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"0": (rng.standard_normal(400) * (rng.random(400) < 0.3)).astype(np.float32)}


BOUND = {"keep": "values", "max_bytes": 1 << 20}


def run(mods, *, memory=True, codec="sparse", rounds=4, feedback=True, **settings):
    strategy = CompressedStrategy(
        FedAvg(initial_parameters=legacy.make_fedavg().initial_parameters, **settings),
        codec=codec,
        memory=memory,
        feedback=feedback,
    )
    run_apps(
        legacy.server_app(strategy, num_rounds=rounds),
        legacy.client_app(mods),
        num_supernodes=4,
        run_config={},
    )
    return strategy


def down(strategy, kind="train"):
    rows = [r for r in strategy.ledger.rows if (r.direction, r.kind) == ("down", kind)]
    return {(row.round, row.client): row.payload_bytes for row in rows}


def test_a_client_decodes_what_is_relative_to_its_last_broadcast():
    memory = ClientMemory(Node())
    first, second = weights(0), {"0": weights(0)["0"] * np.float32(1.001)}
    memory.decode([encode_payload(first)], "arrays", **BOUND)
    relative = encode_payload(second, base=first, self_contained=False)
    assert np.array_equal(memory.decode([relative], "arrays", **BOUND)["0"], second["0"])


@pytest.mark.parametrize("held", [None, 7])
def test_a_client_says_when_it_does_not_hold_the_base(held):
    memory = ClientMemory(Node())
    if held is not None:
        memory.decode([encode_payload(weights(held))], "arrays", **BOUND)
    relative = encode_payload(weights(1), base=weights(0), base_use="values", self_contained=False)
    with pytest.raises(PayloadError, match="unknown_base"):
        memory.decode([relative], "arrays", **BOUND)


def stored(node: Node) -> dict[str, int]:
    return {key: len(data) for key, data in node.state.config_records["flwr_gan.wire"].items()}


def test_a_template_is_enough_where_the_codec_has_no_masks():
    node = Node()
    memory = ClientMemory(node)
    memory.decode([encode_payload(weights(3))], "arrays", **BOUND)
    bound = {"keep": "template", "max_bytes": 1 << 20}
    memory.decode([encode_payload(weights(0), codec="raw")], "arrays", **bound)
    assert list(stored(node)) == ["template/arrays"]
    assert stored(node)["template/arrays"] < 100
    alone = encode_payload(weights(1), codec="raw", self_contained=False)
    assert np.array_equal(memory.decode([alone], "arrays", **bound)["0"], weights(1)["0"])
    relative = encode_payload(weights(2), base=weights(1), base_use="values", self_contained=False)
    with pytest.raises(PayloadError, match="unknown_base"):
        memory.decode([relative], "arrays", **bound)


def test_a_broadcast_is_kept_as_it_arrived_where_it_stands_alone(monkeypatch):
    node = Node()
    payload = encode_payload(weights(3))
    monkeypatch.setattr("flwr_gan.flower.memory.packed_bytes", lambda _: pytest.fail("coded anew"))
    ClientMemory(node).decode([payload], "arrays", **BOUND)
    assert node.state.config_records["flwr_gan.wire"]["held/arrays"] == payload


def test_a_node_bounds_what_it_decodes():
    with pytest.raises(PayloadError, match="1600 bytes"):
        ClientMemory(Node()).decode(
            [encode_payload(weights(0))], "arrays", keep="values", max_bytes=1599
        )


def test_no_array_record_of_a_nodes_state_is_ours():
    """A client may loop over all its array records, or find it has exactly one."""
    seen = []

    def look(message, context, call_next):
        reply = call_next(message, context)
        seen.append(dict(context.state.array_records))
        return reply

    strategy = run([look, compression_mod], codec="sparse:int8")
    assert not any(strategy.failures.values())
    assert seen
    assert not any(seen)


def test_the_server_forgets_the_broadcasts_that_nobody_used_for_long():
    memory = ServerMemory()
    names = [bytes([i]) * 8 for i in range(KEPT_BROADCASTS + 1)]
    memory.confirm(1, "arrays", names[0])
    for i, name in enumerate(names):
        memory.remember(name, Remembered(weights(i), {}, b"s" * 8))
    assert memory.base_of(1, "arrays") is None
    memory.confirm(1, "arrays", names[2])
    assert memory.base_of(1, "arrays") == names[2]
    memory.forget(1)
    assert memory.base_of(1, "arrays") is None


def test_training_and_evaluation_of_the_legacy_api_share_one_model():
    memory = ServerMemory()
    memory.remember(b"x" * 8, Remembered(weights(0), {}, b"s" * 8))
    memory.confirm(3, "evaluateins.parameters", b"x" * 8)
    assert memory.base_of(3, "fitins.parameters") == b"x" * 8


def test_server_memory_survives_a_checkpoint():
    memory, other = ServerMemory(), ServerMemory()
    memory.remember(b"a" * 8, Remembered(weights(0), {"0": weights(1)["0"]}, b"s" * 8))
    memory.remember(b"b" * 8, Remembered(weights(2), {}, b"t" * 8))
    memory.confirm(9, "arrays", b"b" * 8)
    other.load_state_dict(unflatten(flatten(memory.state_dict())))
    assert other.held == memory.held
    assert list(other.broadcasts) == list(memory.broadcasts)
    for name, broadcast in memory.broadcasts.items():
        for a, b in ((broadcast.arrays, other.broadcasts[name].arrays),):
            assert Template.of(a).hash == Template.of(b).hash
            assert all(a[key].tobytes() == b[key].tobytes() for key in a)


@pytest.mark.long
def test_memory_changes_bytes_and_nothing_else():
    with_memory, without = run([compression_mod]), run([compression_mod], memory=False)
    changes = {key: down(with_memory)[key] - size for key, size in down(without).items()}
    assert all(change == 0 for (server_round, _), change in changes.items() if server_round == 1)
    assert all(change < 0 for (server_round, _), change in changes.items() if server_round > 1)
    ups = [
        sorted(r.payload_bytes for r in s.ledger.rows if (r.direction, r.kind) == ("up", "train"))
        for s in (with_memory, without)
    ]
    assert ups[0] == ups[1]


def test_after_an_evaluation_the_same_model_costs_next_to_nothing():
    sizes = down(run([compression_mod]))
    assert max(sizes[2, client] for client in range(4)) < min(sizes[1, c] for c in range(4)) / 5


def test_a_node_that_lost_its_state_fails_once_and_then_gets_everything():
    def forgetful(message, context, call_next):
        if context.node_config["partition-id"] == 1 and message.metadata.group_id == "3":
            context.state.clear()
        return call_next(message, context)

    # without evaluation, so that a round is one exchange
    strategy = run([forgetful, compression_mod], rounds=5, fraction_evaluate=0.0)
    assert [len(strategy.failures.get(r, [])) for r in range(1, 6)] == [0, 0, 1, 0, 0]
    assert "unknown_base" in strategy.failures[3][0]
    sizes = down(strategy)
    assert sizes[4, 1] > sizes[4, 0]
    assert sizes[5, 1] == sizes[5, 0]


def test_who_missed_rounds_is_sent_what_it_can_decode():
    strategy = run([compression_mod], rounds=8, fraction_fit=0.5, fraction_evaluate=0.0)
    assert not any(strategy.failures.values())
    rows = [r for r in strategy.ledger.rows if r.direction == "up" and r.kind == "train"]
    assert len(rows) == 16


@pytest.mark.long
def test_the_message_api_has_the_same_memory():
    def run_messages(mods, memory):
        results, strategy = [], CompressedMessageStrategy(Fed(), memory=memory)
        run_apps(
            messages.server_app(strategy, results, num_rounds=3),
            messages.client_app(mods),
            num_supernodes=3,
            run_config={},
        )
        return strategy, results[0]

    from flwr.serverapp.strategy import FedAvg as Fed

    (one, a), (two, b) = (run_messages([compression_mod], m) for m in (True, False))
    assert not any(one.failures.values())
    sizes = [s.ledger.total("payload_bytes", direction="down") for s in (one, two)]
    assert sizes[0] < sizes[1]
    for key in a.arrays:
        assert a.arrays[key].data == b.arrays[key].data


@pytest.mark.long
def test_feedback_is_kept_by_the_client_too():
    states = []

    def look(message, context, call_next):
        reply = call_next(message, context)
        states.append(sorted(context.state.config_records["flwr_gan.wire"]))
        return reply

    strategy = run([look, compression_mod], codec="sparse:int8", rounds=2)
    assert not any(strategy.failures.values())
    assert "residual/parameters" in states[0]
    states.clear()
    run([look, compression_mod], codec="sparse:int8", rounds=2, feedback=False)
    assert not any("residual" in key for keys in states for key in keys)
