"""Memory between rounds: who holds what, and what happens when it is lost."""

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.server.strategy import FedAvg

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


def run(mods, *, memory=True, codec="sparse", rounds=4, feedback=False, **settings):
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


def test_a_client_decodes_what_leans_on_its_last_broadcast():
    memory = ClientMemory(Node())
    first, second = weights(0), {"0": weights(0)["0"] * np.float32(1.001)}
    memory.decode(encode_payload(first), "arrays")
    leaning = encode_payload(second, base=first, self_contained=False)
    assert np.array_equal(memory.decode(leaning, "arrays")["0"], second["0"])


@pytest.mark.parametrize("held", [None, 7])
def test_a_client_says_when_it_does_not_hold_the_base(held):
    memory = ClientMemory(Node())
    if held is not None:
        memory.decode(encode_payload(weights(held)), "arrays")
    leaning = encode_payload(weights(1), base=weights(0), base_use="values", self_contained=False)
    with pytest.raises(PayloadError, match="unknown_base"):
        memory.decode(leaning, "arrays")


def test_a_template_is_enough_where_the_codec_has_no_masks():
    node = Node()
    ClientMemory(node).decode(encode_payload(weights(3)), "arrays")
    memory = ClientMemory(node, values=False)
    memory.decode(encode_payload(weights(0), codec="raw"), "arrays")
    assert [key for key in node.state.array_records if ".held." in key] == []
    stored = sum(len(a.data) for r in node.state.array_records.values() for a in r.values())
    assert stored < 100
    alone = encode_payload(weights(1), codec="raw", self_contained=False)
    assert np.array_equal(memory.decode(alone, "arrays")["0"], weights(1)["0"])
    leaning = encode_payload(weights(2), base=weights(1), base_use="values", self_contained=False)
    with pytest.raises(PayloadError, match="unknown_base"):
        memory.decode(leaning, "arrays")


def test_the_server_forgets_the_broadcasts_that_nobody_used_for_long():
    memory = ServerMemory()
    names = [bytes([i]) * 8 for i in range(KEPT_BROADCASTS + 1)]
    memory.confirm("partition 1", "arrays", names[0])
    for i, name in enumerate(names):
        memory.remember(name, Remembered(weights(i), {}))
    assert memory.base_of("partition 1", "arrays") is None
    memory.confirm("partition 1", "arrays", names[2])
    assert memory.base_of("partition 1", "arrays") == names[2]
    memory.forget("partition 1")
    assert memory.base_of("partition 1", "arrays") is None


def test_training_and_evaluation_of_the_legacy_api_share_one_model():
    memory = ServerMemory()
    memory.remember(b"x" * 8, Remembered(weights(0), {}))
    memory.confirm("node 3", "evaluateins.parameters", b"x" * 8)
    assert memory.base_of("node 3", "fitins.parameters") == b"x" * 8


def test_server_memory_survives_a_checkpoint():
    memory, other = ServerMemory(), ServerMemory()
    memory.remember(b"a" * 8, Remembered(weights(0), {"0": weights(1)["0"]}))
    memory.remember(b"b" * 8, Remembered(weights(2), {}))
    memory.confirm("node 9", "arrays", b"b" * 8)
    other.load_state_arrays(memory.state_arrays())
    assert other.held == memory.held
    assert list(other.broadcasts) == list(memory.broadcasts)
    for name, broadcast in memory.broadcasts.items():
        for a, b in ((broadcast.arrays, other.broadcasts[name].arrays),):
            assert Template.of(a).hash == Template.of(b).hash
            assert all(a[key].tobytes() == b[key].tobytes() for key in a)


def test_memory_changes_bytes_and_nothing_else():
    with_memory, without = run([compression_mod]), run([compression_mod], memory=False)
    changes = {key: down(with_memory)[key] - size for key, size in down(without).items()}
    assert all(change == 0 for (server_round, _), change in changes.items() if server_round == 1)
    assert all(change < 0 for (server_round, _), change in changes.items() if server_round > 1)
    ups = [
        [r.payload_bytes for r in s.ledger.rows if r.direction == "up" and r.kind == "train"]
        for s in (with_memory, without)
    ]
    assert ups[0] == ups[1]


def test_after_an_evaluation_the_same_model_costs_next_to_nothing():
    sizes = down(run([compression_mod]))
    assert max(sizes[2, client] for client in range(4)) < min(sizes[1, c] for c in range(4)) / 5


def test_a_node_that_lost_its_state_fails_once_and_then_gets_everything():
    def forgetful(message, context, call_next):
        if context.node_config["partition-id"] == 1 and message.metadata.group_id == "3":
            context.state.array_records.clear()
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


def test_error_feedback_makes_up_for_a_coarse_codec():
    """With feedback, the mean of what arrives is nearer to what was meant."""
    target = {"0": np.linspace(-1, 1, 101, dtype=np.float32) * np.float32(0.37)}

    def mean_error(feedback: bool) -> float:
        from flwr_gan.flower.exchange import Exchange

        exchange = Exchange("sparse:int4", feedback=feedback)
        decoded = []
        for server_round in range(1, 17):
            exchange.begin(server_round, "train")
            source = object()
            broadcast, _ = exchange.broadcast(source, lambda: target, 1, "arrays")
            exchange.known.confirm(exchange.holder(1), "arrays", broadcast.name)
            decoded.append(broadcast.base["0"])
        return float(np.abs(np.mean(decoded, axis=0) - target["0"]).mean())

    assert mean_error(True) < 0.5 * mean_error(False)


def test_feedback_is_kept_by_the_client_too():
    states = []

    def look(message, context, call_next):
        reply = call_next(message, context)
        states.append(sorted(context.state.array_records))
        return reply

    strategy = run([look, compression_mod], codec="sparse:int8", feedback=True, rounds=2)
    assert not any(strategy.failures.values())
    assert "flwr_gan.wire.residual.parameters" in states[0]
