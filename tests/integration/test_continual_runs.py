"""Runs whose data drift and whose clients prune, regenerate, replay and are silent."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, RecordDict

from flwr_gan.app.continual import NEVER, ContinualClient, Memory, begin_stage
from flwr_gan.app.federation import federation_from
from flwr_gan.app.run import Run
from flwr_gan.client_app import app as client_app
from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import FlwrGanError
from flwr_gan.flower import mods
from flwr_gan.gan import WganGpTrainer
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import prepare_run_config
from flwr_gan.wire import describe_payload, encode_to_send, load
from flwr_gan.wire.codecs.sparse.masks import CHANGED

pytestmark = pytest.mark.usefixtures("quick_judge")

CONTINUAL = (
    "experiment=continual federation.num_clients=2 federation.rounds=4 drift.every=2 "
    "gan.local_iterations=6 samples_per_class=5"
)
FAST = "regeneration.strength=0.05 regeneration.pace=1"
TIMES = ["encode_s", "decode_s"]


def tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    messages = pd.read_csv(folder / "messages.csv")
    rounds = pd.read_csv(folder / "rounds.csv")
    return messages.drop(columns=TIMES), rounds.drop(columns="wall_s")


def run_continual(
    simulate, more: str = FAST, *, folder: str = "run", pictures: bool = False
) -> Path:
    # The fixture looks for a strategy, to drop a setting that only the default one has.
    return simulate(f"strategy=continual {CONTINUAL} {more}", folder=folder, pictures=pictures)


@pytest.mark.slow
def test_a_run_tells_old_from_new_and_draws_it(simulate):
    folder = run_continual(simulate, f"{FAST} strategy.threshold=0", pictures=True)
    messages, rounds = tables(folder)
    assert rounds.stage.tolist() == [0, 0, 1, 1]
    assert rounds.old_accuracy.notna().tolist() == [False, False, True, True]
    assert rounds.unchanged.tolist() == [0, 0, 0, 0]
    assert rounds.pool.tolist() == [2, 2, 2, 2]
    assert rounds.pool_accuracy.between(0, 1).all()
    best = rounds.accuracy_0[:3].max()
    assert rounds.forgetting_accuracy[3] == pytest.approx(best - rounds.accuracy_0[3])
    assert (folder / "continual.png").stat().st_size > 10_000
    up = messages[messages.direction == "up"]
    assert (up.nonzero < up.parameters).all()  # thresholds have pruned something


@pytest.mark.slow
@pytest.mark.parametrize(
    "drift", ["drift=style drift.stages=2", "drift=new_writers data=strokes gan=small"]
)
def test_other_drifts_run_with_another_strategy(simulate, drift):
    folder = simulate(
        f"strategy=masked_fedavg {drift} drift.every=1 federation.rounds=2 evaluation=server "
        "samples_per_class=3"
    )
    _, rounds = tables(folder)
    assert rounds.failures.sum() == 0
    assert rounds.stage.tolist() == [0, 1]
    assert rounds.forgetting_frechet.notna().tolist() == [False, True]


@pytest.mark.long
def test_silent_clients_cost_little_and_are_counted(simulate):
    rule = "strategy.threshold=100 strategy.every=3"
    folder = run_continual(simulate, f"{FAST} evaluation=none {rule} also_codecs=[zlib]")
    messages, rounds = tables(folder)
    assert rounds.unchanged.tolist() == [0, 2, 2, 0]
    assert rounds.clients.tolist() == [2, 0, 0, 2]
    assert rounds.failures.tolist() == [0, 0, 0, 0]
    silent = messages[messages.kind == "unchanged"]
    uploads = messages[(messages.kind == "train") & (messages.direction == "up")]
    assert len(silent) == 4
    assert (silent.parameters == 0).all()
    assert (silent.payload_bytes < 60).all()
    assert silent.message_bytes.max() < 0.5 * uploads.message_bytes.min()
    ups = messages[messages.direction == "up"]
    assert rounds.up_bytes.tolist() == ups.groupby("round").message_bytes.sum().tolist()
    # What is broadcast again is what the clients hold already.
    down = messages[messages.direction == "down"].groupby("round").payload_bytes.max()
    assert down[3] < 0.3 * down[1]
    compared, _ = tables(folder / "also" / "zlib")
    assert compared.kind.tolist() == messages.kind.tolist()
    totals = json.loads((folder / "summary.json").read_text())["totals"]
    assert totals["up_bytes"] == ups.message_bytes.sum()


@pytest.mark.long
def test_silence_loses_nothing(simulate, monkeypatch):
    """What a silent client has learnt is where it goes on from."""
    seen: list[Memory] = []
    kept = ContinualClient._adapt

    def adapt(self, parameters, config, server_round, real, memory):
        before = {n: a.copy() for n, a in memory.pending.items()}
        broadcast, arrays = kept(self, parameters, config, server_round, real, memory)
        seen.append((server_round, self._partition, before, broadcast, arrays))
        return broadcast, arrays

    monkeypatch.setattr(ContinualClient, "_adapt", adapt)
    run_continual(
        simulate, "evaluation=none strategy.threshold=100 strategy.every=9 regeneration=none"
    )
    by_client = {(r, p): (before, sent, got) for r, p, before, sent, got in seen}
    for partition in (0, 1):
        assert not by_client[1, partition][0]
        for server_round in (3, 4):
            pending, sent, _ = by_client[server_round, partition]
            _, _, earlier = by_client[server_round - 1, partition]
            for name, array in sent.items():
                np.testing.assert_allclose(array + pending[name], earlier[name], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("group", [FAST, "regeneration=none evaluation=none"])
def test_a_stopped_run_resumes_to_the_same_payloads_and_metrics(simulate, monkeypatch, group):
    settings = f"{group} strategy.threshold=0.02 strategy.every=2 federation.rounds=3"
    whole = run_continual(simulate, settings, folder="whole")
    written = Run.write_state

    def stop(self, state):
        written(self, state)
        if len(self.rounds) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "write_state", stop)
        with pytest.raises(KeyboardInterrupt):
            run_continual(simulate, settings, folder="stopped")
    stopped = whole.parent / "stopped"
    assert not (stopped / "summary.json").exists()
    run_config, nodes = prepare_run_config(f"resume={stopped}", None)
    run_apps(server_app, client_app, num_supernodes=nodes, run_config=run_config)
    for left, right in zip(tables(whole), tables(stopped), strict=True):
        pd.testing.assert_frame_equal(left, right)
    generators = [load(f / "generators" / "global.fgan") for f in (whole, stopped)]
    assert all(np.array_equal(generators[0][n], generators[1][n]) for n in generators[0])


@pytest.mark.long
def test_masks_that_change_both_ways_travel_as_changes(simulate, monkeypatch):
    modes = []

    def encode(*arguments, **options):
        sent = encode_to_send(*arguments, **options)
        modes.append(describe_payload(sent.payload).body.mask[0])
        return sent

    monkeypatch.setattr(mods, "encode_to_send", encode)
    folder = simulate(
        "strategy=masked_fedavg regeneration=rg federation.rounds=3 evaluation=none "
        "gan.local_iterations=10 gan.channels=[32,32]"
    )
    _, rounds = tables(folder)
    assert rounds.failures.sum() == 0
    assert modes[-2:] == [CHANGED, CHANGED]


@pytest.mark.long
def test_tickets_by_regeneration_are_sparse_and_one_shot(simulate):
    folder = simulate(
        "strategy=generator_pool regeneration=rg evaluation=none gan.iterations=20 "
        "gan.local_iterations=5 regeneration.strength=0.05 regeneration.pace=1"
    )
    messages, rounds = tables(folder)
    assert len(rounds) == 1
    up = messages[messages.direction == "up"]
    assert (up.nonzero < 0.98 * up.parameters).all()


@pytest.mark.long
def test_critics_are_pruned_where_they_stay(simulate, monkeypatch):
    critics = []
    adapt = ContinualClient._regularised

    def kept(self, generator, critic, masks):
        critics.append(critic)
        return adapt(self, generator, critic, masks)

    monkeypatch.setattr(ContinualClient, "_regularised", kept)
    simulate(
        "strategy=masked_fedavg regeneration=rg regeneration.strength=5 regeneration.pace=1 "
        "regeneration.critic=true evaluation=none gan.critic_gradients=autograd "
        "gan.local_iterations=20 federation.rounds=2"
    )
    zeros = [int((critic.fc1.weight == 0).sum()) for critic in critics]
    assert len(zeros) == 4
    assert min(zeros[-2:]) > 0


def test_the_teacher_is_the_generator_before_the_stage():
    none, counts = np.zeros(4, np.int64), np.array([3, 1, 0, 0])
    memory = Memory(stage=-1, uploaded=NEVER, seen_K=none, before_K=none)
    one, two, three = ({"w": np.full(2, v, np.float32)} for v in (1, 2, 3))
    begin_stage(memory, 0, teacher=one, counts_K=counts)
    assert memory.teacher == {}
    begin_stage(memory, 0, teacher=two, counts_K=counts)
    assert memory.seen_K.tolist() == [3, 1, 0, 0]
    begin_stage(memory, 1, teacher=two, counts_K=np.array([0, 0, 5, 5]))
    begin_stage(memory, 1, teacher=three, counts_K=np.array([0, 0, 5, 5]))
    assert memory.teacher is two
    assert memory.before_K.tolist() == [3, 1, 0, 0]
    assert memory.seen_K.tolist() == [3, 1, 5, 5]
    again = Memory(**unflatten(flatten(vars(memory))))
    assert np.array_equal(again.teacher["w"], two["w"])
    assert (again.stage, again.uploaded) == (memory.stage, memory.uploaded)


def client(tiny, tmp_path, more) -> ContinualClient:
    overrides = f"{tiny} {more} output_dir={tmp_path}"
    context = Context(
        run_id=1, node_id=1, node_config={"partition-id": 0}, state=RecordDict(),
        run_config={"overrides": overrides},
    )  # fmt: skip
    return federation_from(context).client(context)


def test_a_client_trains_on_the_stage_and_replays_its_share(tiny, tmp_path, monkeypatch):
    one = client(tiny, tmp_path, "experiment=continual drift.every=1")
    trained = []
    train = WganGpTrainer.train

    def spy(self, x_NTC, y_N, **options):
        trained.append(np.bincount(y_N, minlength=10))
        return train(self, x_NTC, y_N, **options)

    monkeypatch.setattr(WganGpTrainer, "train", spy)
    weights = one.get_parameters({})
    for server_round, replay in ((1, 0.5), (2, 0.5), (3, 0.0)):
        order = {"round": server_round, "threshold": 0.0, "every": 1, "replay": replay}
        one.fit(weights, order)
    first, second, third = trained
    assert first[:5].all()
    assert not first[5:].any()
    assert second[5:].sum() == second[:5].sum()  # half of it is replayed
    np.testing.assert_allclose(second[:5] / second[:5].sum(), first[:5] / first.sum(), atol=0.01)
    assert not third[:5].any()  # the ablation


@pytest.mark.long
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("drift=new_classes", "drift beside FederatedTicket"),
        ("regeneration=rg", "regeneration beside FederatedTicket"),
        ("drift=style strategy=generator_pool", "drift beside GeneratorPool"),
        ("regeneration=rg method=factored strategy=generator_pool", "beside regeneration"),
        ("regeneration=rg regeneration.critic=true strategy=fedavg",
         "give gan.critic_gradients=autograd"),
        ("regeneration=rg strategy=fedprox federation.rounds=1", "proximal_mu above 0"),
        ("drift=style strategy=fedavg evaluation=clients", "evaluation=clients beside drift"),
        ("drift=new_writers strategy=continual federation.rounds=1", "data with writers"),
        ("drift=new_classes drift.stages=11 strategy=continual federation.rounds=1",
         "drift.stages=11"),
        ("regeneration=rg regeneration.pace=0 strategy=fedavg", "regeneration.pace=0"),
        ("regeneration=rg regeneration.augmented=much strategy=fedavg", "true or false"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_said_before_training(tiny, tmp_path, overrides, message):
    with pytest.raises(FlwrGanError, match=message):
        prepare_run_config(f"{tiny} {overrides} output_dir={tmp_path / 'run'}", None)


@pytest.mark.long
def test_clients_may_be_silent_under_a_lossy_codec_with_feedback(simulate):
    folder = simulate(
        "strategy=continual strategy.threshold=0.02 strategy.every=2 federation.rounds=3 "
        "codec=sparse:int8 evaluation=none"
    )
    messages, rounds = tables(folder)
    assert rounds.failures.sum() == 0
    assert "unchanged" in set(messages.kind)
