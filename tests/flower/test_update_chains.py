"""Chains of updates: every way to the end of a chain leaves the same bits."""

import numpy as np
import pytest
from flwr.app import RecordDict
from flwr.common import parameters_to_ndarrays
from flwr.server.strategy import FedAvg

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.flower import CompressedStrategy, CompressionMod, compression_mod
from flwr_gan.flower import broadcasts as module
from flwr_gan.flower.broadcasts import Broadcaster, first_codec
from flwr_gan.flower.memory import ClientMemory
from flwr_gan.flower.packing import unpacked
from flwr_gan.flower.records import arrays_to_record, payloads_of
from flwr_gan.flower.settings import WireSettings
from flwr_gan.wire import describe_payload, encode_to_send
from flwr_gan.wire.codecs import get_codec
from tests.flower.foreign import legacy

UPDATES = ["topk:0.05+int4", "topk:0.1:local", "randk:0.1+int8", "eden:1", "powersgd:2+int8",
           "dgc:0.05+int4", "topk:0.1+binary:network", "topk:0.1+int8+zstd"]  # fmt: skip
SHAPE = (40, 30)


class Context:
    """A stand-in for Flower's context: the memory uses its state alone."""

    def __init__(self) -> None:
        self.state = RecordDict()


class Federation:
    """A server's broadcasts and the nodes that decode them, without any transport."""

    def __init__(self, codec: str, *, initial=None, **settings) -> None:
        self.broadcaster = Broadcaster(WireSettings(codec=codec, **settings))
        self.contexts: dict[int, Context] = {}
        self.initial = initial
        self.round = 0

    def send(self, *models, nodes, training=True):
        """Send models to nodes in turn, as one exchange; return what each node decoded."""
        self.round += 1
        self.broadcaster.begin(self.round)
        records = [arrays_to_record(model) for model in models]
        decoded = {}
        for at, node in enumerate(nodes):
            record = records[at % len(records)]
            found, _ = self.broadcaster.broadcast(record, node, "arrays", training=training)
            decoded[node] = self.decode(node, found)
            self.broadcaster.memory.confirm(node, "arrays", found.held.name)
        self.last = found
        return decoded

    def decode(self, node, broadcast):
        memory = ClientMemory(self.contexts.setdefault(node, Context()))
        arrays = memory.decode(
            broadcast.payloads, "arrays", keep="values", max_bytes=1 << 20, initial=self.initial
        )
        self.ways = getattr(self, "ways", {}) | {node: broadcast.payloads}
        assert same(arrays, broadcast.held.arrays)
        return arrays


def same(a, b):
    return list(a) == list(b) and all(a[name].tobytes() == b[name].tobytes() for name in a)


def model(seed: int = 0, *, pruned: bool = True):
    """Return float weights, a bias, and whole numbers."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(SHAPE).astype(np.float32)
    kept = rng.random(SHAPE) < (0.6 if pruned else 1)
    return {
        "0": np.where(kept, weights, np.float32(0)),
        "1": rng.standard_normal(9).astype(np.float32),
        "2": np.arange(4),
    }


def moved(before, seed, scale=0.05):
    step = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32) * scale
    moved = np.where(before["0"] != 0, before["0"] + step, np.float32(0))
    return before | {"0": moved, "1": before["1"] + np.float32(seed), "2": before["2"] + seed}


@pytest.mark.long
@pytest.mark.parametrize("codec", UPDATES)
def test_whoever_missed_whatever_holds_the_same_bits(codec):
    """Node 0 is always there, 1 is back after 20 rounds, 2 to 4 each third time, others once."""
    federation, now = Federation(codec), model()
    for at in range(23):
        now = moved(now, at)
        nodes = [
            0,
            *([1] if at in (0, 21) else []),
            2 + at % 3,
            *([100 + at] if at % 7 == 3 else []),
        ]
        found = federation.send(now, nodes=nodes)
        assert all(same(found[node], found[0]) for node in nodes)
        assert at == 0 or len(federation.ways[0]) == 1
        now = now | {"0": found[0]["0"]}  # as replies do, the next model begins there
    assert not federation.broadcaster.memory.broadcasts


def test_an_update_is_coded_once_for_all_nodes_and_its_stages_remember(monkeypatch):
    remembered = []

    def coded(*args, **kwargs):
        remembered.append(kwargs["memory"])
        return encode_to_send(*args, **kwargs)

    monkeypatch.setattr(module, "encode_to_send", coded)
    federation, now = Federation("dgc:0.05+int4"), model()
    for at in range(6):
        now = moved(now, at)
        federation.send(now, nodes=range(at, 6))
    assert [bool(memory) for memory in remembered] == [False] * 2 + [True] * 4


@pytest.mark.long
def test_a_node_is_sent_what_it_missed_or_everything_whichever_is_shorter():
    federation, now = Federation("topk:0.02+int8", seeded_start=True, initial=model), model()
    counts = []
    for at in range(40):
        federation.send(now, nodes=[0, 100 + at])
        chain, way = federation.broadcaster.chains.of["arrays"], federation.ways[100 + at]
        assert sum(map(len, way)) == min(sum(map(len, chain.payloads)), len(chain.end.whole))
        counts.append(len(way))
        now = moved(now, at, scale=0.01)
    assert counts[:3] == [1, 2, 3]
    assert counts[-1] == 1


@pytest.mark.long
def test_the_server_keeps_no_more_than_a_model_and_as_many_bytes():
    federation, now = Federation("topk:0.2+int8"), model()
    for at in range(40):
        now = moved(now, at)
        federation.send(now, nodes=[at])
    (chain,) = federation.broadcaster.chains.of.values()
    assert sum(map(len, chain.payloads)) <= sum(a.nbytes for a in chain.end.arrays.values())
    assert len(chain.points) == len(chain.payloads) + 1
    assert len(chain.payloads) < 40


def test_the_same_model_again_travels_as_its_hash():
    federation, now = Federation("topk:0.05+int4"), model()
    first = federation.send(now, nodes=[0, 1], training=False)
    again = federation.send(now, nodes=[0, 1, 2])
    assert same(first[0], again[2])
    assert len(b"".join(federation.ways[0])) < 100
    assert federation.ways[0] == federation.ways[1]


def test_what_the_first_payload_loses_is_sent_by_the_next_ones():
    federation, now = Federation("topk:0.1+int4"), model(pruned=False)
    lost = []
    for at in range(30):
        decoded = federation.send(now | {"2": now["2"] + at}, nodes=[0])[0]
        lost.append(np.linalg.norm(decoded["0"] - now["0"]))
        now = now | {"0": decoded["0"]}  # nobody learns anything
        target = model(pruned=False)["0"]
    assert np.linalg.norm(decoded["0"] - target) < lost[0] / 10


@pytest.mark.parametrize(
    ("codec", "feedback", "first"),
    [
        ("topk:0.05+int4", True, "topk:0.05+int4"),
        ("topk:0.05+binary", True, "sparse:int8"),
        ("topk:0.05+binary", False, "sparse"),
        ("randk:0.1+int2+zstd", False, "zstd"),
        ("eden:1", True, "sparse:int8"),
        ("int2", True, "int2"),
    ],
)
def test_the_first_payload_is_coded_in_few_bits_where_feedback_makes_up_for_it(
    codec, feedback, first
):
    assert first_codec(get_codec(codec), feedback=feedback).spec == get_codec(first).spec


def test_a_node_that_did_not_answer_is_sent_what_stands_alone():
    federation, now = Federation("topk:0.05+int8"), model()
    for at in range(3):
        federation.send(moved(now, at), nodes=[0, 1])
    federation.contexts[1] = Context()
    with pytest.raises(PayloadError, match="unknown_base"):
        federation.send(moved(now, 3), nodes=[0, 1])
    federation.broadcaster.memory.forget(1)
    found = federation.send(moved(now, 4), nodes=[0, 1])
    assert same(found[0], found[1])
    assert describe_payload(federation.ways[1][0]).base_need == "none"


def test_initial_arrays_from_the_seed_travel_as_their_hash():
    federation = Federation("topk:0.05+int4", seeded_start=True, initial=model)
    found = federation.send(model(), nodes=[0, 1])
    assert all(np.array_equal(found[1][name], array) for name, array in model().items())
    assert len(b"".join(federation.ways[0])) < 50
    now = moved(model(), 1)
    found = federation.send(now, nodes=[0, 2])
    assert same(found[0], found[2])
    assert len(federation.ways[2]) == 2


@pytest.mark.parametrize("initial", [None, lambda: None, lambda: model(7)])
def test_who_cannot_make_the_initial_arrays_is_sent_everything_next(initial):
    federation = Federation("topk:0.05+int4", seeded_start=True, initial=initial)
    with pytest.raises(PayloadError, match="unknown_base"):
        federation.send(model(), nodes=[0])
    assert same(federation.send(model(), nodes=[0])[0], model())


def test_seeded_start_is_refused_where_there_is_no_line():
    for settings in ({"codec": "sparse"}, {"memory": False}):
        with pytest.raises(CodecError, match="seeded_start"):
            WireSettings(**{"codec": "topk:0.05+int4", "seeded_start": True} | settings)


def test_arrays_that_do_not_travel_stay_what_a_node_was_sent_first():
    federation, now = Federation("topk:0.05+int8", exclude=("2",)), model()
    start = federation.send(now, nodes=[0, 1])
    for at in range(1, 9):
        now = moved(now, at)
        found = federation.send(now, nodes=[0, 10 + at])
        assert same(found[0], found[10 + at])
    assert same({"2": found[0]["2"]}, {"2": start[0]["2"]})
    assert not np.array_equal(found[0]["0"], start[0]["0"])
    found = federation.send(now | {"2": now["2"] + 1}, nodes=[1])
    assert same({"2": found[1]["2"]}, {"2": start[0]["2"]})


def test_several_models_in_one_exchange_have_no_line():
    federation, a, b = Federation("topk:0.05+int8"), model(1), model(2)
    for at in range(4):
        a, b = moved(a, at), moved(b, 9 + at)
        found = federation.send(a, b, nodes=[0, 1, 2, 3])
        assert same(found[0], found[2])
        assert same(found[1], found[3])
        assert np.abs(found[0]["0"] - a["0"]).max() < 0.3
        assert np.abs(found[1]["0"] - b["0"]).max() < 0.3
    assert federation.broadcaster.chains.several == {"arrays"}


def test_a_checkpoint_holds_the_lines():
    federation, other, now = Federation("dgc:0.05+int8"), Federation("dgc:0.05+int8"), model()
    for at in range(3):
        federation.send(moved(now, at), nodes=[0, at])
    other.broadcaster.load_state_dict(unflatten(flatten(federation.broadcaster.state_dict())))
    other.contexts, other.round = federation.contexts, federation.round
    ways = []
    for one in (federation, other):
        record = arrays_to_record(moved(now, 9))
        one.broadcaster.begin(4)
        ways.append([one.broadcaster.broadcast(record, n, "arrays", training=True)[0].payloads
                     for n in (0, 1, 2, 3)])  # fmt: skip
    assert ways[0] == ways[1]
    assert [len(way) for way in ways[0]] == [1, 2, 1, 4]


def test_a_schedule_may_begin_without_updates():
    federation, now = Federation("sparse:int8>3:topk:0.05+int4>5:sparse"), model()
    for at in range(6):
        now = moved(now, at)
        found = federation.send(now, nodes=[0, 10 + at])
        assert same(found[0], found[10 + at])
    assert same(found[0], now)


def gradient(weights, x, y):
    return x.T @ (x @ weights - y) / len(x)


def norm(residual) -> float:
    return float(np.sqrt(sum(np.sum(array.astype(float) ** 2) for array in residual.values())))


def linear_regression(codec: str | None, *, clients=30, a_round=3, rounds=40):
    """Train with 10 % participation; return losses, and norms of the server's and all residuals."""
    rng = np.random.default_rng(5)
    truth = rng.standard_normal((20, 10))
    x_CNF = rng.standard_normal((clients, 40, 20))
    y_CNK = x_CNF @ truth + 0.1 * rng.standard_normal((clients, 40, 10))
    federation = Federation(codec or "sparse")
    weights = {"w": np.full((20, 10), 0.01, np.float32)}
    residuals: dict[int, dict] = {}
    losses, lost = [], []
    for _ in range(rounds):
        nodes = [int(node) for node in rng.permutation(clients)[:a_round]]
        held = federation.send(weights, nodes=nodes) if codec else dict.fromkeys(nodes, weights)
        replies = []
        for node in nodes:
            local = held[node]["w"].astype(float)
            for _ in range(5):
                local -= 0.02 * gradient(local, x_CNF[node], y_CNK[node])
            reply, left = {"w": local.astype(np.float32)}, residuals.get(node)
            if codec:
                sent = encode_to_send(reply, codec=codec, base=held[node], residual=left)
                reply, residuals[node] = sent.decoded, sent.residual
            replies.append(reply["w"])
        weights = {"w": np.mean(replies, axis=0, dtype=np.float32)}
        losses.append(float(np.mean((x_CNF @ weights["w"] - y_CNK) ** 2)))
        if codec:
            left = [federation.last.held.residual, *residuals.values()]
            lost.append(max(map(norm, left)))
    return losses, lost


@pytest.mark.long
def test_clients_that_come_seldom_learn_about_as_well_as_without_loss():
    plain, _ = linear_regression(None)
    losses, lost = linear_regression("topk:0.2+int4")
    assert plain[-1] < plain[0] / 50
    assert losses[-1] < losses[0] / 20
    assert max(lost[20:]) <= max(lost[:20])


def run(codec, mods, *, rounds=4, **settings):
    strategy = CompressedStrategy(
        FedAvg(
            initial_parameters=legacy.make_fedavg().initial_parameters,
            fraction_fit=0.5,
            fraction_evaluate=0.5,
        ),
        codec=codec,
        **settings,
    )
    run_apps(
        legacy.server_app(strategy, num_rounds=rounds),
        legacy.client_app(mods),
        num_supernodes=4,
        run_config={},
    )
    assert not any(strategy.failures.values())
    return [row for row in strategy.ledger.rows if row.direction == "down"]


def test_the_ledger_counts_all_payloads_of_a_message():
    seen = []

    def look(message, context, call_next):
        seen.append([len(p) for r in unpacked(message.content).array_records.values()
                     for p in payloads_of(r)])  # fmt: skip
        return call_next(message, context)

    rows = run("topk:0.1+int8", [look, compression_mod])
    assert max(map(len, seen)) > 1
    assert sorted(map(sum, seen)) == sorted(row.payload_bytes for row in rows)
    assert all(row.message_bytes > row.payload_bytes for row in rows)


def test_a_run_whose_initial_weights_come_from_the_seed():
    arrays = parameters_to_ndarrays(legacy.make_fedavg().initial_parameters)
    initial = {str(at): array for at, array in enumerate(arrays)}
    mods = [CompressionMod(initial=lambda context: initial)]
    first = [row.payload_bytes for row in run("topk:0.1+int8", mods, seeded_start=True, rounds=1)]
    plain = [row.payload_bytes for row in run("topk:0.1+int8", mods, rounds=1)]
    assert first[0] < 60 < plain[0]
