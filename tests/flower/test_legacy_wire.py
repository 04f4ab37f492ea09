"""The wrapper and the mod around a foreign app on the legacy API."""

import numpy as np
import pytest
from flwr.common import Parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg, Krum
from flwr.serverapp.strategy import FedAvg as MessageFedAvg

from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import CodecError
from flwr_gan.flower import CompressedStrategy, compression_mod
from tests.flower.foreign import legacy


class Seen(FedAvg):
    """FedAvg that keeps what it averages, clients in the order of their partitions."""

    def __init__(self, **settings) -> None:
        super().__init__(**settings)
        self.averages: list[list[np.ndarray]] = []
        self.orders: list[list[int]] = []
        self.losses: list[float] = []

    def aggregate_fit(self, server_round, results, failures):
        results = sorted(results, key=lambda pair: pair[1].metrics["partition"])
        self.orders.append([result.metrics["partition"] for _, result in results])
        for _, result in results:
            assert set(result.metrics) == {"partition"}
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is not None:
            self.averages.append(parameters_to_ndarrays(parameters))
        return parameters, metrics

    def aggregate_evaluate(self, server_round, results, failures):
        results = sorted(results, key=lambda pair: int(pair[0].cid))
        loss, metrics = super().aggregate_evaluate(server_round, results, failures)
        self.losses.append(loss)
        return loss, metrics


def seen(**settings) -> Seen:
    return Seen(initial_parameters=legacy.make_fedavg().initial_parameters, **settings)


def run(strategy, mods=(compression_mod,), *, num_supernodes: int = 4, num_rounds: int = 2) -> None:
    run_apps(
        legacy.server_app(strategy, num_rounds=num_rounds),
        legacy.client_app(list(mods)),
        num_supernodes=num_supernodes,
        run_config={},
    )


@pytest.mark.parametrize("codec", ["raw", "sparse", "zlib:9"])
def test_lossless_wire_leaves_federated_averaging_unchanged(codec):
    plain, inner = seen(), seen()
    run(plain, mods=())
    run(CompressedStrategy(inner, codec=codec))
    for expected, got in zip(plain.averages, inner.averages, strict=True):
        for a, b in zip(expected, got, strict=True):
            assert a.tobytes() == b.tobytes()
    assert inner.losses == plain.losses


def test_replies_reach_the_inner_strategy_sorted_by_partition():
    orders = []

    class Order(FedAvg):
        def aggregate_fit(self, server_round, results, failures):
            orders.append([result.metrics["partition"] for _, result in results])
            return super().aggregate_fit(server_round, results, failures)

    run(CompressedStrategy(Order(initial_parameters=legacy.make_fedavg().initial_parameters)))
    assert orders == [[0, 1, 2, 3]] * 2


def test_another_strategy_can_be_wrapped():
    inner = Krum(initial_parameters=legacy.make_fedavg().initial_parameters, num_clients_to_keep=2)
    strategy = CompressedStrategy(inner, codec="sparse")
    run(strategy)
    assert strategy.failures[2] == []
    assert strategy.ledger.total("payload_bytes", direction="up") > 0


def test_ledger_equals_what_the_transport_carried(carried):
    strategy = CompressedStrategy(legacy.make_fedavg(ask_client=True, fraction_fit=0.5))
    run(strategy)
    for direction, total in carried.items():
        assert strategy.ledger.total("message_bytes", direction=direction) == total
    kinds = {(row.kind, row.direction) for row in strategy.ledger.rows}
    assert kinds == {(k, d) for k in ("init", "train", "evaluate") for d in ("up", "down")}
    assert all(row.client >= 0 for row in strategy.ledger.rows)


def test_ledger_rows_add_up():
    strategy = CompressedStrategy(seen(), codec="sparse")
    run(strategy)
    frame = strategy.ledger.to_frame()
    coded = frame[frame.payload_bytes > 0]
    assert (coded.dense_bytes == 4 * coded.parameters).all()
    assert (coded.message_bytes > coded.payload_bytes).all()
    assert (coded.mask_bytes + coded.value_bytes < coded.payload_bytes).all()
    train = coded[coded.kind == "train"]
    assert list(train[train.direction == "up"].client) == [0, 1, 2, 3] * 2
    assert train[["encode_s", "decode_s"]].notna().all().all()


def test_other_codecs_are_measured_on_the_same_messages():
    both = CompressedStrategy(seen(), codec="sparse", also_codecs=["zlib:9"])
    run(both)
    alone = CompressedStrategy(seen(), codec="zlib:9")
    run(alone)
    columns = ["round", "client", "direction", "kind", "codec", "payload_bytes", "message_bytes"]
    measured = both.comparison.ledgers["zlib:9"].to_frame()[columns]
    assert measured.equals(alone.ledger.to_frame()[columns])


def test_lossy_codecs_are_not_compared_on_one_training():
    with pytest.raises(CodecError, match="only lossless"):
        CompressedStrategy(seen(), codec="sparse", also_codecs=["sparse:int8"])


def test_initial_parameters_of_a_client_pass_through_wrapper_and_ledger():
    strategy = CompressedStrategy(legacy.make_fedavg(ask_client=True))
    run(strategy)
    rows = [row for row in strategy.ledger.rows if row.kind == "init" and row.payload_bytes]
    assert len(rows) == 1
    assert rows[0].direction == "up"


@pytest.mark.long
def test_sampling_is_seeded():
    def orders(seed: int) -> list[list[int]]:
        inner = seen(fraction_fit=0.3, min_fit_clients=3)
        run(CompressedStrategy(inner, seed=seed), num_supernodes=10, num_rounds=4)
        return inner.orders

    assert orders(0) == orders(0)
    assert orders(0) != orders(1)
    assert len({tuple(order) for order in orders(0)}) > 1


def test_a_broadcast_is_encoded_once_a_round():
    strategy = CompressedStrategy(seen())
    run(strategy)
    rows = [r for r in strategy.ledger.rows if r.direction == "down" and r.kind == "train"]
    assert sum(row.encode_s > 0 for row in rows) == 2


def test_wrapping_the_wrong_kind_names_the_other_wrapper():
    with pytest.raises(TypeError, match="CompressedMessageStrategy"):
        CompressedStrategy(MessageFedAvg())
    with pytest.raises(TypeError, match="expected a flwr"):
        CompressedStrategy(object())


def test_a_bad_codec_fails_before_anything_is_sent():
    with pytest.raises(CodecError, match="zlip"):
        CompressedStrategy(legacy.make_fedavg(), codec="zlip")


def test_a_client_without_the_mod_is_dropped_with_a_hint():
    strategy = CompressedStrategy(seen())
    run(strategy, mods=())
    assert len(strategy.failures[1]) == 8  # four trainings, four evaluations
    assert strategy.inner.averages == []


def test_mod_leaves_messages_of_an_unwrapped_server_alone():
    plain, with_mod = seen(), seen()
    run(plain, mods=())
    run(with_mod)
    assert all(
        a.tobytes() == b.tobytes()
        for expected, got in zip(plain.averages, with_mod.averages, strict=True)
        for a, b in zip(expected, got, strict=True)
    )


def test_replaced_parameters_win_over_decoded_ones():
    other = Parameters([b"x"], "other")

    class Replace(FedAvg):
        def aggregate_fit(self, server_round, results, failures):
            _, result = results[0]
            result.parameters = other
            assert result.parameters is other
            assert len(result.payload) > 0
            return None, {}

    strategy = CompressedStrategy(
        Replace(initial_parameters=legacy.make_fedavg().initial_parameters)
    )
    run(strategy, num_rounds=1)
    assert strategy.failures[1] == []


def test_the_ledger_says_what_auto_has_chosen():
    strategy = CompressedStrategy(seen(), codec="auto:1000")
    run(strategy)
    coded = [row.codec for row in strategy.ledger.rows if row.payload_bytes]
    assert set(coded) <= {f"auto:1000 > {name}" for name in ("raw", "sparse", "zstd", "zstd:3")}
