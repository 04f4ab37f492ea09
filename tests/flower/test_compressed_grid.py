"""The grid itself: round loops by hand, what nodes are called, what is left out, what is said."""

import copy
import pickle

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flwr_gan.engine import InlineGrid, run_apps
from flwr_gan.errors import CodecError, TrainingError
from flwr_gan.flower import (
    CompressedGrid,
    CompressedMessageStrategy,
    CompressedStrategy,
    CompressionMod,
    compression_mod,
)
from flwr_gan.flower.flwr_private import Run
from flwr_gan.flower.records import record_to_arrays
from tests.flower.foreign import legacy
from tests.flower.numbers_app import alike, client_app, run

RNG = np.random.default_rng(0)
MODEL = {
    "w": RNG.normal(size=(20, 30)).astype(np.float32),
    "head.w": RNG.normal(size=(30, 10)).astype(np.float32),
    "head.b": RNG.normal(size=10).astype(np.float32),
}


def step(arrays, context):
    rng = np.random.default_rng(context.node_id)
    return {k: a + 0.01 * rng.normal(size=a.shape).astype(a.dtype) for k, a in arrays.items()}


def test_a_round_loop_by_hand_sees_plain_arrays():
    def loop(grid: Grid) -> tuple[dict, list[int]]:
        model, lengths = MODEL, []
        for _ in range(3):
            record = ArrayRecord(dict(run_arrays(model)))
            messages = [
                Message(RecordDict({"arrays": record}), node, MessageType.TRAIN)
                for node in sorted(grid.get_node_ids())
            ]
            ids = list(grid.push_messages(messages))
            replies = list(grid.pull_messages(ids))
            lengths.append(len(replies))
            found = [record_to_arrays(reply.content["arrays"]) for reply in replies]
            model = {k: np.mean([f[k] for f in found], axis=0, dtype=np.float32) for k in model}
        return model, lengths

    def run_loop(wrap, mods):
        kept, app = [], ServerApp()

        @app.main()
        def main(grid: Grid, context: Context) -> None:
            grid = wrap(grid)
            kept.append((*loop(grid), grid))

        run_apps(app, client_app(step, mods), num_supernodes=3, run_config={})
        return kept[0]

    plain, _, _ = run_loop(lambda grid: grid, ())
    coded, lengths, grid = run_loop(lambda grid: CompressedGrid(grid), [compression_mod])
    assert alike(plain, coded)
    assert lengths == [3, 3, 3]
    rows = [row for row in grid.ledger.rows if row.direction == "down"]
    assert [row.round for row in rows] == [1] * 3 + [2] * 3 + [3] * 3
    assert sum(row.encode_s > 0 for row in rows) == 3  # a broadcast is encoded once


def run_arrays(model):
    from flwr.app import Array

    return {k: Array(a) for k, a in model.items()}


def test_messages_that_are_sent_stay_as_they_were():
    app = client_app(step)
    grid = InlineGrid(app, num_supernodes=1, run_config={}, run=Run.create_empty(run_id=1))
    message = Message(RecordDict({"arrays": ArrayRecord(run_arrays(MODEL))}), 1, MessageType.TRAIN)
    before = dict(message.content["arrays"])
    list(CompressedGrid(grid).send_and_receive([message]))
    assert dict(message.content["arrays"]) == before
    assert list(message.content) == ["arrays"]


@pytest.mark.long
@pytest.mark.parametrize("labels", [["site-a", "site-b", "site-c"], [0, 0, 0], [None] * 3])
def test_a_partition_id_is_a_label(labels, monkeypatch):
    numbered, _ = run(CompressedMessageStrategy(FedAvg()), MODEL, step, rounds=6)
    context_of = InlineGrid._context

    def labelled(self, node_id, *given):
        context = context_of(self, node_id, *given)
        label = labels[int(context.node_config["partition-id"])]
        if label is None:
            context.node_config.pop("partition-id", None)
        else:
            context.node_config["partition-id"] = label
        return context

    monkeypatch.setattr(InlineGrid, "_context", labelled)
    strategy = CompressedMessageStrategy(FedAvg(), codec="sparse")
    coded, _ = run(strategy, MODEL, step, rounds=6)
    assert alike(coded, numbered)
    assert not any(strategy.failures.values())
    named = {row.client for row in strategy.ledger.rows if row.direction == "up"}
    assert named == {-1 if label is None else label for label in labels}


def test_only_sampled_nodes_are_written_to():
    strategy = CompressedMessageStrategy(FedAvg(fraction_train=0.1, fraction_evaluate=0.0))
    run(strategy, MODEL, step, nodes=30, rounds=3)
    assert len(strategy.ledger.rows) == 3 * 2 * 3


@pytest.mark.long
def test_sampling_is_by_node_id_and_seed():
    def sampled(seed):
        strategy = CompressedMessageStrategy(FedAvg(fraction_train=0.2), seed=seed)
        run(strategy, MODEL, step, nodes=20, rounds=3)
        return [row.client for row in strategy.ledger.rows if row.kind == "train"]

    assert sampled(3) == sampled(3) != sampled(4)


@pytest.mark.parametrize(("codec", "later"), [("sparse", 600), ("topk:0.5+int8", 910)])
def test_what_is_left_out_stays_what_it_was_on_either_side(codec, later):
    heads, broadcast = {}, []

    def look(message, context, call_next):
        broadcast.append({k: a.numpy() for k, a in message.content["arrays"].items()})
        return call_next(message, context)

    def train(arrays, context):
        before = heads.get(context.node_id)
        if before is not None:  # its own head, as it left it
            assert alike(before, {k: a for k, a in arrays.items() if k.startswith("head.")})
        trained = step(arrays, context)
        heads[context.node_id] = {k: a for k, a in trained.items() if k.startswith("head.")}
        return trained

    strategy = CompressedMessageStrategy(
        FedAvg(fraction_evaluate=0.0), codec=codec, exclude=["head.*"]
    )
    final, _ = run(strategy, MODEL, train, mods=[compression_mod, look])
    assert [list(arrays) for arrays in broadcast] == [list(MODEL)] * 9
    for name in ("head.w", "head.b"):
        np.testing.assert_allclose(final[name], MODEL[name], rtol=1e-6)
    assert not np.allclose(final["w"], MODEL["w"], atol=1e-4)
    sizes = [row.parameters for row in strategy.ledger.rows]
    assert sizes == [910] * 3 + [600] * 3 + ([later] * 3 + [600] * 3) * 2


def test_include_names_what_travels():
    strategy = CompressedMessageStrategy(FedAvg(fraction_evaluate=0.0), include="w")
    run(strategy, MODEL, step, rounds=2)
    assert {row.parameters for row in strategy.ledger.rows if row.direction == "up"} == {600}


def test_codecs_may_differ_up_and_down():
    strategy = CompressedMessageStrategy(FedAvg(), codec_up="sparse:int8", codec_down="zstd:3")
    run(strategy, MODEL, step)
    codecs = {(row.direction, row.codec) for row in strategy.ledger.rows if row.payload_bytes}
    assert codecs == {("up", "sparse:int8"), ("down", "zstd:3")}


def test_dense_bytes_are_the_real_ones():
    model = {"h": np.ones((8, 8), np.float16), "d": np.ones((4, 4)), "n": np.arange(3)}
    strategy = CompressedMessageStrategy(FedAvg(fraction_evaluate=0.0))
    run(strategy, model, lambda arrays, _: arrays, rounds=1)
    assert {row.dense_bytes for row in strategy.ledger.rows} == {128 + 128 + 24}


def test_the_share_of_a_change_that_arrived_is_in_the_ledger():
    strategy = CompressedMessageStrategy(FedAvg(fraction_evaluate=0.0), codec="sparse:int4")
    run(strategy, {"w": RNG.normal(size=(60, 80)).astype(np.float32)}, step)
    shares = [row.arrived_share for row in strategy.ledger.rows if row.direction == "up"]
    assert all(0.8 < share < 1 for share in shares)
    lossless = CompressedMessageStrategy(FedAvg())
    run(lossless, MODEL, step)
    assert all(np.isnan(row.arrived_share) for row in lossless.ledger.rows)


def test_a_loss_that_nothing_makes_up_for_is_a_warning(caplog):
    def run_with(**settings):
        caplog.clear()
        model = {"w": RNG.normal(size=(60, 80)).astype(np.float32)}
        run(CompressedMessageStrategy(FedAvg(), **settings), model, step)
        return [message for message in caplog.messages if "of a change arrives" in message]

    assert len(run_with(codec="prune:magnitude:0.9+sparse", feedback=False)) == 1
    assert run_with(codec="prune:magnitude:0.9+sparse") == []


@pytest.mark.parametrize("wipe", [True, False])
def test_a_client_may_wipe_its_state_or_read_all_of_it(wipe):
    seen = []

    def train(arrays, context):
        if wipe:
            context.state.clear()
        seen.extend(record_to_arrays(r) for r in context.state.array_records.values())
        return step(arrays, context)

    strategy = CompressedMessageStrategy(FedAvg())
    coded, _ = run(strategy, MODEL, train)
    reasons = [reason for found in strategy.failures.values() for reason in found]
    assert all(reason.startswith("unknown_base") for reason in reasons)
    assert bool(reasons) == wipe
    assert np.isfinite(coded["w"]).all()
    assert seen == []


def test_replies_that_are_all_refused_are_a_warning_and_with_strict_an_error(caplog):
    strategy = CompressedMessageStrategy(FedAvg(), codec="sparse")
    run_without_mod(strategy)
    warned = [m for m in caplog.messages if "all 3 replies to train were refused" in m]
    assert warned
    assert "list compression_mod first in the client's mods" in warned[0]
    with pytest.raises(TrainingError, match="all 3 replies"):
        run_without_mod(CompressedMessageStrategy(FedAvg(), strict=True))


def run_without_mod(strategy):
    results, app = [], ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        results.append(strategy.start(grid, ArrayRecord(run_arrays(MODEL)), num_rounds=2))

    run_apps(app, client_app(step, ()), num_supernodes=3, run_config={})


@pytest.mark.long
def test_a_large_reply_is_refused_and_the_bound_can_be_set():
    def grow(arrays, context):
        return {"w": np.zeros(17 << 20, np.float32)}

    for limit, refused in ((None, 3), (80 << 20, 0)):
        strategy = CompressedMessageStrategy(FedAvg(fraction_evaluate=0.0), max_reply_bytes=limit)
        run(strategy, {"w": np.zeros(5, np.float32)}, grow, rounds=1)
        assert len(strategy.failures[1]) == refused
    assert strategy.ledger.rows[-1].parameters == 17 << 20


def test_the_bound_of_the_client_can_be_set():
    small = CompressionMod(max_bytes=1000)
    strategy = CompressedMessageStrategy(FedAvg())
    run(strategy, MODEL, step, mods=[small])
    assert "max_bytes=1000" in strategy.failures[1][0]
    with pytest.raises(CodecError, match="at least 1"):
        CompressionMod(max_bytes=0)


class SavingFedAvg(FedAvg):
    """What users write: an own start, an attribute, a method."""

    def set_save_path(self, path):
        self.save_path = path

    def start(self, *args, **kwargs):
        result = super().start(*args, **kwargs)
        self.saved = (self.save_path, len(result.arrays))
        return result


class Logged(CompressedMessageStrategy):
    """A subclass of the wrapper that overrides a method."""

    rounds: tuple[int, ...] = ()

    def aggregate_train(self, server_round, replies):
        self.rounds += (server_round,)
        return super().aggregate_train(server_round, replies)


def test_the_inner_strategy_is_reachable_and_overridden_methods_are_run():
    strategy = Logged(SavingFedAvg(fraction_evaluate=0.5))
    strategy.set_save_path("here")
    run(strategy, MODEL, step, rounds=2)
    assert strategy.saved == ("here", 3)
    assert strategy.fraction_evaluate == 0.5
    assert strategy.rounds == (1, 2)
    assert strategy.inner.aggregate_train.__func__ is FedAvg.aggregate_train
    with pytest.raises(AttributeError, match="nothing_like_that"):
        _ = strategy.nothing_like_that


def by_pickle(strategy):
    return pickle.loads(pickle.dumps(strategy))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, by_pickle])
def test_wrappers_are_copied_and_pickled(again):
    strategy = CompressedMessageStrategy(FedAvg(), codec="sparse:int8")
    run(strategy, MODEL, step, rounds=2)
    other = again(strategy)
    assert len(other.ledger.rows) == len(strategy.ledger.rows)
    run(other, MODEL, step, rounds=1)
    assert not any(other.failures.values())


def test_settings_are_checked_at_once():
    for settings, match in (
        ({"codec": "zlip"}, "zlip"),
        ({"codec_up": "sparse:int99"}, "int99"),
        ({"exclude": 3}, "exclude=3"),
        ({"include": [""]}, "include"),
        ({"max_reply_bytes": 0}, "at least 1"),
    ):
        with pytest.raises(CodecError, match=match):
            CompressedMessageStrategy(FedAvg(), **settings)
    with pytest.raises(TypeError, match=r"flwr.serverapp.Grid"):
        CompressedGrid(object())
    with pytest.raises(TypeError, match="unexpected keyword"):
        CompressedMessageStrategy(FedAvg(), kodec="sparse")


def test_a_node_that_does_not_answer_is_a_failure_and_forgotten(monkeypatch):
    deliver = InlineGrid.send_and_receive

    def lossy(self, messages, *, timeout=None):
        replies = list(deliver(self, messages, timeout=timeout))
        return [r for r in replies if r.metadata.src_node_id != 2]

    monkeypatch.setattr(InlineGrid, "send_and_receive", lossy)
    strategy = CompressedMessageStrategy(FedAvg(fraction_evaluate=0.0))
    run(strategy, MODEL, step, rounds=2)
    assert strategy.failures == {1: ["node 2 did not answer in time"],
                                 2: ["node 2 did not answer in time"]}  # fmt: skip


def test_a_wait_for_enough_nodes_comes_before_sampling(monkeypatch):
    counts, get_node_ids = iter([2, 2, 3]), InlineGrid.get_node_ids

    def few(self):
        return list(get_node_ids(self))[: next(counts, 5)]

    monkeypatch.setattr(InlineGrid, "get_node_ids", few)
    strategy = CompressedMessageStrategy(FedAvg(min_available_nodes=5, fraction_evaluate=0.0))
    run(strategy, MODEL, step, nodes=5, rounds=1)
    assert len([row for row in strategy.ledger.rows if row.direction == "up"]) == 5


def test_a_loss_that_is_not_a_number_is_what_plain_flower_makes_of_it():
    def train(arrays, context):
        bad = np.float32(np.nan if context.node_config["partition-id"] == 1 else 1)
        return {k: a * bad for k, a in arrays.items()}

    coded, result = run(CompressedMessageStrategy(FedAvg()), MODEL, train, rounds=1)
    assert np.isnan(coded["w"]).all()
    assert np.isnan(result.evaluate_metrics_clientapp[1]["loss"])


def test_a_loss_of_the_legacy_api_that_is_not_a_number_is_passed_on_too(monkeypatch):
    def not_a_number(self, parameters, config):
        return float("nan"), 10, {}

    monkeypatch.setattr(legacy.ClassifierClient, "evaluate", not_a_number)
    losses = []

    class Losses(LegacyFedAvg):
        def aggregate_evaluate(self, server_round, results, failures):
            losses.append((len(failures), *(result.loss for _, result in results)))
            return super().aggregate_evaluate(server_round, results, failures)

    inner = Losses(initial_parameters=legacy.make_fedavg().initial_parameters)
    run_apps(
        legacy.server_app(CompressedStrategy(inner), num_rounds=1),
        legacy.client_app([compression_mod]),
        num_supernodes=2,
        run_config={},
    )
    assert losses[0][0] == 0
    assert np.isnan(losses[0][1:]).all()
    assert len(losses[0]) == 3


def test_an_error_of_a_client_keeps_its_reason():
    def fails(arrays, context):
        if context.node_id == 2:
            raise RuntimeError("out of battery")
        return step(arrays, context)

    strategy = CompressedMessageStrategy(FedAvg(fraction_evaluate=0.0))
    run(strategy, MODEL, fails, rounds=1)
    (reason,) = strategy.failures[1]
    assert "out of battery" in reason
