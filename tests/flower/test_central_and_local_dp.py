"""Flower's differential privacy around and inside the compressed wire: what travels, what adds up.

Every check is against what Flower's own functions give on plain arrays.
"""

import numpy as np
import pytest
from flwr.client.mod import LocalDpMod, adaptiveclipping_mod, fixedclipping_mod
from flwr.clientapp import ClientApp
from flwr.clientapp import mod as message_mods
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import strategy as legacy_strategies
from flwr.server.strategy import FedAvg
from flwr.serverapp import ServerApp
from flwr.serverapp import strategy as message_strategies
from flwr.supercore.differential_privacy import get_norm

from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import (
    CompressedMessageStrategy,
    CompressedStrategy,
    KeepPruned,
    KeepPrunedMessages,
    compression_mod,
    keep_pruned_mod,
)
from flwr_gan.flower.records import arrays_to_record, record_to_arrays
from tests.flower.foreign import legacy, messages
from tests.flower.foreign.task import get_weights, make_model

CLIP, NODES = 0.05, 3
LOCAL = {"clipping_norm": CLIP, "sensitivity": CLIP, "epsilon": 50.0, "delta": 1e-5}


def initial(*, sparse=False):
    """Return the first broadcast; sparse: every other weight of the matrices is pruned."""
    arrays = get_weights(make_model())
    if sparse:
        for array in arrays:
            if array.ndim == 2:
                array.ravel()[::2] = 0
    return arrays


class Watched(FedAvg):
    """FedAvg that keeps what reaches it and what it gives."""

    def __init__(self, *, sparse=False, **fedavg):
        super().__init__(
            initial_parameters=ndarrays_to_parameters(initial(sparse=sparse)), **fedavg
        )
        self.base, self.updates, self.means = initial(sparse=sparse), [], []

    def aggregate_fit(self, server_round, results, failures):
        came = [parameters_to_ndarrays(r.parameters) for _, r in results]
        self.updates.append([[a - b for a, b in zip(c, self.base, strict=True)] for c in came])
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        if parameters is not None:
            self.means.append(parameters_to_ndarrays(parameters))
        return parameters, metrics


def run(strategy, mods, *, rounds=1, nodes=NODES):
    # Flower's pieces draw their noise from numpy's global state
    np.random.seed(3)  # noqa: NPY002
    run_apps(
        legacy.server_app(strategy, num_rounds=rounds),
        legacy.client_app(list(mods)),
        num_supernodes=nodes,
        run_config={},
    )


def both_ways(strategy):
    return sum(strategy.ledger.total("message_bytes", direction=d) for d in ("up", "down"))


def settings(kind, noise=0.0):
    if "Fixed" in kind:
        return {"noise_multiplier": noise, "clipping_norm": CLIP, "num_sampled_clients": NODES}
    return {
        "noise_multiplier": noise,
        "num_sampled_clients": NODES,
        "initial_clipping_norm": CLIP,
        "clipped_count_stddev": 2.0 * noise,
    }


CENTRAL = [
    ("DifferentialPrivacyServerSideFixedClipping", ()),
    ("DifferentialPrivacyServerSideAdaptiveClipping", ()),
    ("DifferentialPrivacyClientSideFixedClipping", (fixedclipping_mod,)),
    ("DifferentialPrivacyClientSideAdaptiveClipping", (adaptiveclipping_mod,)),
]


@pytest.mark.parametrize(("kind", "mods"), CENTRAL)
def test_central_dp_inside_the_wire_equals_central_dp_without_it(kind, mods, carried):
    results = {}
    for wire in (False, True):
        inner = Watched()
        private = getattr(legacy_strategies, kind)(inner, **settings(kind))
        strategy = CompressedStrategy(private, codec="sparse") if wire else private
        carried.update(up=0, down=0)
        run(strategy, [compression_mod, *mods] if wire else mods)
        results[wire] = inner
        if wire:
            assert both_ways(strategy) == sum(carried.values())
            assert strategy.failures[1] == []
    # without the wire replies come in the order of a set
    order, again = (
        sorted(results[wire].updates[0], key=lambda u: u[0].ravel()[0]) for wire in (False, True)
    )
    for expected, got in zip(order, again, strict=True):
        for a, b in zip(expected, got, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7)
    # every update is clipped when it is averaged, whoever clips
    for update in results[True].updates[0]:
        assert get_norm(update) == pytest.approx(CLIP, rel=1e-4)


def test_client_side_clipping_is_done_before_coding():
    """What is decoded on the server is clipped already: no plain update leaves the client."""
    kind = "DifferentialPrivacyClientSideFixedClipping"
    strategy = CompressedStrategy(
        getattr(legacy_strategies, kind)(Watched(), **settings(kind)), codec="raw"
    )
    run(strategy, [compression_mod, fixedclipping_mod])
    for upload in strategy.latest:
        pairs = zip(upload.arrays().values(), initial(), strict=True)
        assert get_norm([a - b for a, b in pairs]) == pytest.approx(CLIP, rel=1e-4)


def test_central_noise_is_added_after_the_mean_and_travels_with_the_next_broadcast():
    kind = "DifferentialPrivacyServerSideFixedClipping"
    inner = Watched()
    strategy = CompressedStrategy(getattr(legacy_strategies, kind)(inner, **settings(kind, 2.0)))
    sent = []
    configure = strategy.inner.configure_fit

    def look(server_round, parameters, manager):
        sent.append(parameters_to_ndarrays(parameters))
        return configure(server_round, parameters, manager)

    strategy.inner.configure_fit = look
    run(strategy, [compression_mod], rounds=2)
    noise = np.concatenate([(a - b).ravel() for a, b in zip(sent[1], inner.means[0], strict=True)])
    assert noise.std() == pytest.approx(2.0 * CLIP / NODES, rel=0.25)


def test_local_dp_travels_noised_and_clipped():
    strategy = CompressedStrategy(Watched(), codec="raw")
    run(strategy, [compression_mod, LocalDpMod(**LOCAL)])
    scale = CLIP * np.sqrt(2 * np.log(1.25 / 1e-5)) / 50
    values = []
    for upload in strategy.latest:
        values += [
            (a - b).ravel() for a, b in zip(upload.arrays().values(), initial(), strict=True)
        ]
    update = np.concatenate(values)
    expected = np.sqrt(scale**2 + CLIP**2 * NODES / len(update))
    assert update.std() == pytest.approx(expected, rel=0.15)


def test_noise_makes_a_sparse_upload_dense_and_keep_pruned_keeps_it_sparse():
    sizes, uploads = {}, {}
    # clients run in threads and share numpy's global state: one alone draws the same each time
    alone = dict.fromkeys(("min_fit_clients", "min_evaluate_clients", "min_available_clients"), 1)
    for name, kept in (("flower", ()), ("kept", (keep_pruned_mod,))):
        strategy = CompressedStrategy(Watched(sparse=True, **alone), codec="sparse")
        run(strategy, [compression_mod, *kept, LocalDpMod(**LOCAL)], nodes=1)
        sizes[name] = strategy.ledger.total("payload_bytes", direction="up")
        uploads[name] = [list(u.arrays().values()) for u in strategy.latest]
    pruned = [a == 0 for a in initial(sparse=True)]
    assert sum(p.sum() for p in pruned) == 80
    for dense, sparse in zip(uploads["flower"], uploads["kept"], strict=True):
        for a, b, mask in zip(dense, sparse, pruned, strict=True):
            assert (a[mask] != 0).all()
            assert not b[mask].any()
            # the noise on survivors is Flower's, draw for draw
            assert np.array_equal(a[~mask], b[~mask])
    assert sizes["kept"] < 0.7 * sizes["flower"]


def test_central_noise_leaves_pruned_weights_alone_under_keep_pruned():
    kind = "DifferentialPrivacyServerSideFixedClipping"
    private = getattr(legacy_strategies, kind)(Watched(sparse=True), **settings(kind, 1.0))
    strategy = CompressedStrategy(KeepPruned(private), codec="sparse")
    run(strategy, [compression_mod, keep_pruned_mod], rounds=2)
    down = [r for r in strategy.ledger.rows if r.direction == "down" and r.kind == "train"]
    assert {row.nonzero for row in down} == {178 - 80}


# The message API. Its mods act on evaluation too, so they are given to train alone.


def message_app(*mods):
    app = ClientApp(mods=[compression_mod])
    plain = messages.client_app([])

    @app.train(mods=list(mods))
    def train(message, context):
        return plain(message, context)

    @app.evaluate()
    def evaluate(message, context):
        return plain(message, context)

    return app


def run_messages(strategy, *mods, rounds=1):
    np.random.seed(3)  # noqa: NPY002
    results = []
    run_apps(
        messages.server_app(strategy, results, num_rounds=rounds),
        message_app(*mods),
        num_supernodes=NODES,
        run_config={},
    )
    return results[0]


MESSAGE_CENTRAL = [
    ("DifferentialPrivacyServerSideFixedClipping", ()),
    ("DifferentialPrivacyServerSideAdaptiveClipping", ()),
    ("DifferentialPrivacyClientSideFixedClipping", (message_mods.fixedclipping_mod,)),
    ("DifferentialPrivacyClientSideAdaptiveClipping", (message_mods.adaptiveclipping_mod,)),
]


@pytest.mark.parametrize(("kind", "mods"), MESSAGE_CENTRAL)
def test_central_dp_of_the_message_api(kind, mods, carried):
    private = getattr(message_strategies, kind)(message_strategies.FedAvg(), **settings(kind))
    strategy = CompressedMessageStrategy(private)
    result = run_messages(strategy, *mods)
    assert strategy.failures[1] == []
    assert both_ways(strategy) == sum(carried.values())
    arrays = list(record_to_arrays(result.arrays).values())
    update = [a - b for a, b in zip(arrays, initial(), strict=True)]
    # a mean of three updates of norm CLIP, all much alike
    assert 0.5 * CLIP < get_norm(update) <= CLIP * (1 + 1e-4)


@pytest.mark.parametrize("kept", [False, True])
def test_kept_zeros_of_the_message_api(kept):
    """Local noise inside keep_pruned_mod, central noise inside KeepPrunedMessages."""
    kind = "DifferentialPrivacyServerSideFixedClipping"
    inner = getattr(message_strategies, kind)(message_strategies.FedAvg(), **settings(kind, 1.0))
    strategy = CompressedMessageStrategy(KeepPrunedMessages(inner) if kept else inner)
    server, results = ServerApp(), []

    @server.main()
    def main(grid, context):
        names = make_model().state_dict()
        first = arrays_to_record(dict(zip(names, initial(sparse=True), strict=True)))
        results.append(strategy.start(grid, first, num_rounds=1))

    mods = [keep_pruned_mod] * kept + [message_mods.LocalDpMod(**LOCAL)]
    run_apps(server, message_app(*mods), num_supernodes=NODES, run_config={})
    assert strategy.failures[1] == []
    up = {r.nonzero for r in strategy.ledger.rows if (r.kind, r.direction) == ("train", "up")}
    assert up == {178 - 80 if kept else 178}
    final = record_to_arrays(results[0].arrays).values()
    assert sum(np.count_nonzero(a) for a in final) == (178 - 80 if kept else 178)


# Wrong orders.


@pytest.mark.parametrize("mod", [fixedclipping_mod, LocalDpMod(**LOCAL)])
def test_the_wire_inside_another_mod_is_a_clear_failure_and_nothing_is_averaged(mod):
    kind = "DifferentialPrivacyClientSideFixedClipping"
    inner = Watched()
    strategy = CompressedStrategy(getattr(legacy_strategies, kind)(inner, **settings(kind)))
    run(strategy, [mod, compression_mod])
    assert len(strategy.failures[1]) == NODES
    assert all("compression_mod" in reason for reason in strategy.failures[1]), strategy.failures
    assert inner.means == []


def test_the_ledger_is_right_with_a_client_side_strategy_around_the_wire(carried):
    """The clipping norm joins a message before the grid weighs it."""
    kind = "DifferentialPrivacyClientSideFixedClipping"
    wire = CompressedStrategy(Watched())
    run(
        getattr(legacy_strategies, kind)(wire, **settings(kind)),
        [compression_mod, fixedclipping_mod],
    )
    assert wire.failures[1] == []
    assert sum(carried.values()) == both_ways(wire)


def test_clipping_mods_of_the_message_api_refuse_evaluation():
    kind = "DifferentialPrivacyClientSideFixedClipping"
    private = getattr(message_strategies, kind)(message_strategies.FedAvg(), **settings(kind))
    strategy = CompressedMessageStrategy(private)
    results = []
    run_apps(
        messages.server_app(strategy, results, num_rounds=1),
        messages.client_app([compression_mod, message_mods.fixedclipping_mod]),
        num_supernodes=NODES,
        run_config={},
    )
    assert any("clipping_norm" in reason for reason in strategy.failures[1]), strategy.failures


def test_the_wire_inside_keep_pruned_is_a_clear_failure():
    strategy = CompressedStrategy(Watched())
    run(strategy, [keep_pruned_mod, compression_mod])
    assert strategy.latest == []
    assert strategy.failures[1]
    assert all("list compression_mod before it" in r for r in strategy.failures[1])


def test_a_server_side_strategy_around_the_wire_equals_the_wire_around_it():
    kind = "DifferentialPrivacyServerSideFixedClipping"
    outer, inner = Watched(), Watched()
    run(getattr(legacy_strategies, kind)(CompressedStrategy(outer), **settings(kind)), [
        compression_mod
    ])  # fmt: skip
    run(CompressedStrategy(getattr(legacy_strategies, kind)(inner, **settings(kind))), [
        compression_mod
    ])  # fmt: skip
    assert len(outer.means) == len(inner.means) > 0
    for a, b in zip(outer.means, inner.means, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize(("wrapper", "other"), [(KeepPruned, "KeepPrunedMessages"),
                                                (KeepPrunedMessages, "KeepPruned ")])  # fmt: skip
def test_wrapping_the_wrong_kind_names_the_other(wrapper, other):
    wrong = message_strategies.FedAvg() if wrapper is KeepPruned else FedAvg()
    with pytest.raises(TypeError, match=other):
        wrapper(wrong)
