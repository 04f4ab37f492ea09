"""A client that fails is dropped for the round; the round goes on with the rest."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, Error, Message, MessageType, RecordDict
from flwr.common import parameters_to_ndarrays
from flwr.server.strategy import FedAvg

from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import CodedReplies, CompressedGrid, CompressedStrategy, compression_mod
from flwr_gan.flower.flwr_private import Run
from flwr_gan.flower.packing import packed, unpacked
from flwr_gan.flower.records import payload_of, payload_record
from tests.flower.foreign import legacy
from tests.flower.numbers_app import client_app

BAD = 2  # the partition that misbehaves


class Counting(FedAvg, CodedReplies):
    """A strategy that wants finite replies, shaped like what was broadcast."""

    def __init__(self) -> None:
        super().__init__(initial_parameters=legacy.make_fedavg().initial_parameters)
        self.good: list[int] = []
        self.latest = None

    def aggregate_fit(self, server_round, results, failures):
        self.good.append(len(results))
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        self.latest = parameters or self.latest
        return parameters, metrics


def run(mods, *, num_supernodes: int = 4) -> CompressedStrategy:
    strategy = CompressedStrategy(Counting(), codec="sparse")
    run_apps(
        legacy.server_app(strategy),
        legacy.client_app(mods),
        num_supernodes=num_supernodes,
        run_config={},
    )
    return strategy


def on_bad_partition(change):
    """Return a mod that changes what one partition sends, behind or before the coding."""

    def mod(message, context, call_next):
        bad = context.node_config["partition-id"] == BAD
        if bad and change is None:
            raise RuntimeError("out of battery")
        reply = call_next(message, context)
        content = unpacked(reply.content)
        records = content.array_records
        if bad and "fitres.parameters" in records:
            records["fitres.parameters"] = change(records["fitres.parameters"])
            reply.content = packed(content)
        return reply

    return mod


def not_finite(record):
    from flwr_gan.flower.records import arrays_to_record, record_to_arrays

    arrays = record_to_arrays(record)
    arrays["0"] = np.full_like(arrays["0"], np.nan)
    return arrays_to_record(arrays)


def other_shape(record):
    from flwr_gan.flower.records import arrays_to_record, record_to_arrays

    arrays = record_to_arrays(record)
    arrays["0"] = arrays["0"][:-1]
    return arrays_to_record(arrays)


def corrupt(record):
    payload = bytearray(payload_of(record))
    payload[len(payload) // 2] ^= 0x10
    return payload_record(bytes(payload))


def truncated(record):
    return payload_record(payload_of(record)[:-7])


CASES = {
    "raises": ([on_bad_partition(None), compression_mod], "out of battery"),
    "not finite": ([compression_mod, on_bad_partition(not_finite)], "not finite"),
    "other shape": ([compression_mod, on_bad_partition(other_shape)], "other names, shapes"),
    "corrupt": ([on_bad_partition(corrupt), compression_mod], "checksum"),
    "truncated": ([on_bad_partition(truncated), compression_mod], "truncated"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_bad_client_is_dropped_with_a_reason(case):
    mods, reason = CASES[case]
    strategy = run(mods)
    assert strategy.inner.good == [3, 3]
    fits = strategy.failures[1]
    assert any(reason in text for text in fits), fits
    weights = parameters_to_ndarrays(strategy.inner.latest)
    assert all(np.isfinite(weight).all() for weight in weights)


def test_the_bytes_of_a_dropped_payload_are_still_counted():
    strategy = run(CASES["corrupt"][0])
    rows = [r for r in strategy.ledger.rows if r.direction == "up" and r.kind == "train"]
    assert {row.client for row in rows if row.round == 1} == {0, 1, 2, 3}
    assert all(row.payload_bytes > 0 for row in rows)


def test_a_client_that_never_answers_has_no_name_in_the_ledger():
    strategy = run([compression_mod, on_bad_partition(None)])
    down = [r for r in strategy.ledger.rows if r.direction == "down" and r.kind == "train"]
    assert [row.client for row in down].count(-1) == 2  # nobody knows what it calls itself
    assert {row.client for row in down} == {-1, 0, 1, 3}


def test_with_no_client_left_the_global_model_stays_as_it_was():
    def fails(message, context, call_next):
        raise RuntimeError("nobody home")

    strategy = run([fails])
    assert strategy.inner.good == [0, 0]
    assert strategy.inner.latest is None
    assert len(strategy.failures[1]) == 8


def test_log_names_round_and_reason(caplog):
    run(CASES["corrupt"][0])
    assert any("round 1: a client was dropped" in message for message in caplog.messages)


def test_a_node_that_has_left_is_one_failure():
    """Flower's SuperLink answers in its place, with its own node id."""

    class Left(InlineGrid):
        def send_and_receive(self, messages, *, timeout=None):
            messages = list(messages)
            list(self.push_messages(messages))
            errors = [Message(Error(5, "Node unavailable"), reply_to=sent) for sent in messages]
            for error in errors:
                error.metadata.__dict__["_src_node_id"] = 1
            return errors

    app = client_app(lambda arrays, context: arrays)
    inner = Left(app, num_supernodes=1, run_config={}, run=Run.create_empty(run_id=1))
    grid = CompressedGrid(inner)
    content = RecordDict({"arrays": ArrayRecord([np.ones(3, np.float32)])})
    (reply,) = grid.send_and_receive([Message(content, 2, MessageType.TRAIN, group_id="1")])
    assert reply.has_error()
    assert grid.failures == {1: ["Node unavailable"]}
