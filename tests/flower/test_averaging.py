"""Replies that are added up while they are checked give Flower's FedAvg, bit for bit."""

import hashlib
import tracemalloc
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.common import Code, FitRes, Parameters, Status
from flwr.server.strategy import FedAvg

from experiments.benchmarks import server
from flwr_gan.flower import CodedFitRes
from flwr_gan.flower import reply as reply_module
from flwr_gan.flower.averaging import RunningMean, averages_in_place
from flwr_gan.flower.records import payload_record
from flwr_gan.flower.reply import CodedReply
from flwr_gan.flower.transport import message_bytes
from flwr_gan.wire import Base, Template, encode_payload
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.header import seal
from strategies import SparseFedAvg

CLIENTS = 4


def weights(seed: int, *, kept: float, mixed: bool) -> dict[str, np.ndarray]:
    masks, rng = np.random.default_rng(0), np.random.default_rng(seed)
    shapes = {"fc": (40, 30), "conv": (8, 5, 3), "empty": (0, 3)}
    found = {
        name: np.where(masks.random(shape) < kept, rng.normal(size=shape), 0).astype(np.float32)
        for name, shape in shapes.items()
    }
    if mixed:
        found["bias"] = rng.normal(size=7).astype(np.float32)
        found["double"] = rng.normal(size=(5, 4))
        found["half"] = rng.normal(size=(5, 4)).astype(np.float16)
        found["steps"] = np.array(seed, np.int64)
    return found


def replies(codec: str, *, kept: float = 0.3, mixed: bool = False, odd: int | None = None) -> list:
    held = weights(99, kept=kept, mixed=mixed)
    base, template = Base(held), Template.of(held)
    made = []
    for client in range(CLIENTS):
        arrays = weights(client, kept=0.9 if client == odd else kept, mixed=mixed)
        payload = encode_payload(arrays, codec=codec, base=base, self_contained=False)
        coded = CodedReply(payload, template, base, template.nbytes)
        result = FitRes(Status(Code.OK, ""), Parameters([], ""), client + 1, {})
        made.append((None, CodedFitRes(result, coded, client)))
    return made


def added_up(given: list, *, expected: int | None = None) -> RunningMean:
    samples = sum(result.num_examples for _, result in given)
    mean = RunningMean(samples if expected is None else expected)
    for _, result in given:
        mean.add(result.coded, result.coded.check()[1], result.num_examples)
    return mean


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8", "sparse:int4", "zlib:6", "raw"])
@pytest.mark.parametrize("form", [{"kept": 0.3}, {"kept": 1.0}, {"mixed": True}])
@pytest.mark.parametrize("numba", [True, False])
def test_the_mean_is_flowers(codec, form, numba):
    compiled.load()
    given = replies(codec, **form)
    with nullcontext() if numba else compiled.without_numba():
        mean = added_up(given)
        assert mean.is_of(given)
        ours = mean.aggregate(FedAvg().aggregate_fit, 2, given, [])
    assert ours == FedAvg().aggregate_fit(2, given, [])


def test_replies_of_other_masks_are_not_added_up():
    assert not added_up(replies("sparse", odd=1)).is_of(replies("sparse", odd=1))
    given = replies("sparse", odd=1)
    assert not added_up(given).is_of(given)


@pytest.mark.parametrize("case", ["one refused", "other samples", "other order", "other replies"])
def test_what_was_added_up_counts_only_for_these_replies(case):
    given = replies("sparse")
    results = {
        "one refused": given[:-1],
        "other samples": given,
        "other order": given[::-1],
        "other replies": replies("sparse"),
    }[case]
    mean = added_up(given, expected=99 if case == "other samples" else None)
    assert not mean.is_of(results)


def test_what_was_added_up_is_not_decoded_again(monkeypatch):
    given = replies("sparse")
    mean = added_up(given)
    monkeypatch.setattr(CodedReply, "survivors", lambda self: pytest.fail("decoded again"))
    assert mean.aggregate(FedAvg().aggregate_fit, 2, given, [])[0] is not None


def test_only_fedavgs_own_aggregation_is_replaced():
    class Own(FedAvg):
        def aggregate_fit(self, server_round, results, failures):
            return None, {}

    assert averages_in_place(FedAvg())
    assert averages_in_place(SparseFedAvg())
    assert not averages_in_place(FedAvg(inplace=False))
    assert not averages_in_place(Own())


def small_generator() -> list[np.ndarray]:
    return list(weights(5, kept=0.2, mixed=False).values())


@pytest.mark.parametrize("kind", ["FedAvg", "SparseFedAvg"])
@pytest.mark.parametrize("codec", ["sparse", "sparse:int8"])
def test_a_damaged_reply_is_refused_alone(kind, codec):
    made = server.replies(f"{kind}, {codec}", small_generator(), clients=CLIENTS)
    results = [(client, server.as_it_came(result)) for client, result in made.results]
    received = results[1][1].received
    for name, coded in received.replies.items():
        damaged = replace(coded, payload=seal(coded.payload[:-8]))  # with a right checksum
        received.replies[name] = results[1][1].coded = damaged
    others = [pair for at, pair in enumerate(results) if at != 1]
    expected = FedAvg().aggregate_fit(2, others, [])[0]
    assert made.strategy.aggregate_fit(1, results, [])[0] == expected
    assert len(made.strategy.failures[1]) == 1


@pytest.mark.parametrize("kind", ["FedAvg, sparse:int8", "SparseFedAvg, sparse:int8"])
def test_each_reply_is_decoded_once(kind, monkeypatch):
    made = server.replies(kind, small_generator(), clients=CLIENTS)
    calls = []
    for name in ("decode_payload", "decode_survivors"):
        decode = getattr(reply_module, name)
        monkeypatch.setattr(
            reply_module, name, lambda *a, d=decode, **k: calls.append(0) or d(*a, **k)
        )
    made.aggregate()
    assert len(calls) == CLIENTS


def test_no_more_is_held_than_the_sum_and_a_few_replies():
    held = {"fc": np.random.default_rng(0).normal(size=(300, 200)).astype(np.float32)}
    base, template = Base(held), Template.of(held)
    payload = encode_payload(held, codec="sparse:int8", base=base, self_contained=False)

    def add_to(mean: RunningMean) -> None:
        reply = CodedReply(payload, template, base, template.nbytes)
        mean.add(reply, reply.check()[1], 1)

    add_to(RunningMean(1))  # what is loaded on first use does not count
    tracemalloc.start()
    mean = RunningMean(12)
    for _ in range(12):
        add_to(mean)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * template.nbytes


def test_weighing_a_message_hashes_nothing(monkeypatch):
    content = RecordDict({"arrays": payload_record(bytes(1000))})
    monkeypatch.setattr(hashlib, "sha256", lambda *_: pytest.fail("hashed"))
    assert message_bytes(content) > 1000
