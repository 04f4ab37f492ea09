"""The wrapper and the mod around a foreign app on the message API."""

import random

import numpy as np
import pytest
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAdam, FedAvg

from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import CompressedMessageStrategy, compression_mod
from flwr_gan.flower.records import record_to_arrays
from tests.flower.foreign import messages


class ByPartition:
    """Aggregates replies in the order of their nodes, as the wrapper hands them over."""

    def aggregate_train(self, server_round, replies):
        ordered = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
        return super().aggregate_train(server_round, ordered)

    def aggregate_evaluate(self, server_round, replies):
        ordered = sorted(replies, key=lambda reply: reply.metadata.src_node_id)
        return super().aggregate_evaluate(server_round, ordered)


class OrderedFedAvg(ByPartition, FedAvg):
    pass


class OrderedFedAdam(ByPartition, FedAdam):
    pass


def run(strategy, mods=(compression_mod,), *, num_supernodes: int = 4, client_app=None):
    results = []
    run_apps(
        messages.server_app(strategy, results),
        client_app or messages.client_app(list(mods)),
        num_supernodes=num_supernodes,
        run_config={},
    )
    return results[0]


def same(a, b) -> bool:
    left, right = record_to_arrays(a), record_to_arrays(b)
    return list(left) == list(right) and all(
        left[name].tobytes() == right[name].tobytes() for name in left
    )


@pytest.mark.parametrize("codec", ["raw", "sparse"])
@pytest.mark.parametrize("strategy", [OrderedFedAvg, OrderedFedAdam])
def test_lossless_wire_leaves_the_strategy_unchanged(codec, strategy):
    plain = run(strategy(), mods=())
    coded = run(CompressedMessageStrategy(strategy(), codec=codec))
    assert same(plain.arrays, coded.arrays)
    assert dict(plain.evaluate_metrics_clientapp[2]) == dict(coded.evaluate_metrics_clientapp[2])


def test_ledger_equals_what_the_transport_carried(carried):
    strategy = CompressedMessageStrategy(FedAvg(fraction_train=0.5))
    run(strategy)
    for direction, total in carried.items():
        assert strategy.ledger.total("message_bytes", direction=direction) == total
    assert all(row.client >= 0 for row in strategy.ledger.rows)


def test_global_random_state_is_not_disturbed_and_sampling_is_seeded(monkeypatch):
    undisturbed = []
    configured = CompressedMessageStrategy._configured

    def watched(self, *args):
        before = random.getstate()
        chosen = configured(self, *args)
        undisturbed.append(random.getstate() == before)
        return chosen

    monkeypatch.setattr(CompressedMessageStrategy, "_configured", watched)
    first = CompressedMessageStrategy(FedAvg(fraction_train=0.3), seed=3)
    run(first, num_supernodes=10)
    assert undisturbed
    assert all(undisturbed)
    second = CompressedMessageStrategy(FedAvg(fraction_train=0.3), seed=3)
    run(second, num_supernodes=10)

    def chosen(strategy):
        return [row.client for row in strategy.ledger.rows if row.kind == "train"]

    assert chosen(first) == chosen(second)


def test_a_corrupt_reply_is_dropped():
    app = messages.client_app([spoil, compression_mod])
    strategy = CompressedMessageStrategy(FedAvg())
    result = run(strategy, client_app=app)
    assert len(strategy.failures[1]) == 1
    assert all(np.isfinite(a).all() for a in record_to_arrays(result.arrays).values())


def spoil(message, context, call_next):
    """Flip a byte of what partition 2 sends."""
    from flwr_gan.flower.packing import packed, unpacked
    from flwr_gan.flower.records import payload_of, payload_record

    reply = call_next(message, context)
    content = unpacked(reply.content)
    if context.node_config["partition-id"] == 2 and "arrays" in content:
        payload = bytearray(payload_of(content["arrays"]))
        payload[len(payload) // 2] ^= 1
        content["arrays"] = payload_record(bytes(payload))
        reply.content = packed(content)
    return reply


def test_wrapping_the_wrong_kind_names_the_other_wrapper():
    with pytest.raises(TypeError, match="CompressedStrategy"):
        CompressedMessageStrategy(LegacyFedAvg())
    with pytest.raises(TypeError, match="expected a flwr"):
        CompressedMessageStrategy(object())


@pytest.mark.parametrize("spoilt", ["no metrics", "another metric", "renamed record", "no arrays"])
def test_one_reply_with_other_records_does_not_fail_the_round(spoilt):
    def change(message, context, call_next):
        reply = call_next(message, context)
        if context.node_config["partition-id"] == 1 and "arrays" in reply.content:
            content = reply.content
            if spoilt == "no metrics":
                del content["metrics"]
            elif spoilt == "another metric":
                content["metrics"]["more"] = 1
            elif spoilt == "renamed record":
                content["weights"] = content.pop("arrays")
            else:
                del content["arrays"]
        return reply

    strategy = CompressedMessageStrategy(FedAvg())
    result = run(strategy, client_app=messages.client_app([compression_mod, change]))
    assert len(strategy.failures[1]) == 1
    assert len(result.train_metrics_clientapp) == 2
