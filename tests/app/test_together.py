"""Clients that train in one program: what trains together, in which order, and what fails."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch

from flwr_gan.app import together
from flwr_gan.app.config import load_config
from flwr_gan.cli import main
from flwr_gan.client_app import app as client_app
from flwr_gan.core.tree import flatten
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks, network_arrays, torch_threads
from flwr_gan.gan.batched import Training
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import engine_settings, prepare_run_config
from flwr_gan.wire import load
from tests.conftest import TINY

T, C, K = 4, 3, 5
SMALL = GanConfig(
    latent_dim=4, channels=(8, 6), critic_hidden=(16, 12), batch_size=8, critic_iterations=2
)
AVERAGE = "strategy=fedavg federation.rounds=2 evaluation=none federation.num_clients=5"
SIZES = ["payload_bytes", "message_bytes", "encode_s", "decode_s"]


@pytest.fixture(autouse=True)
def one_thread():
    with torch_threads(1):
        yield


@pytest.fixture
def groups(monkeypatch):
    """Return a list of the numbers of trainings that share a program, as they come."""
    found = []

    def spy(trainings, **settings):
        found.append(len(trainings))
        return real(trainings, **settings)

    real = together.train_together
    monkeypatch.setattr(together, "train_together", spy)
    return found


class Job:
    """Trains a small GAN a few times; each of its random numbers follows from the seed."""

    def __init__(self, seed, *, calls=1, iterations=2, config=SMALL, bad=False, **settings):
        networks = build_networks(config, num_vectors=T, num_components=C, num_classes=K, seed=seed)
        self.trainer = WganGpTrainer(*networks, config=config, **settings)
        rng = np.random.default_rng(seed)
        self.x_NTC = rng.uniform(-1, 1, (20, T, C)).astype(np.float32)
        self.x_NTC[0] = np.nan if bad else self.x_NTC[0]
        self.y_N = rng.integers(K, size=20)
        self.rng = torch.Generator().manual_seed(seed)
        self.calls, self.iterations, self.steps = calls, iterations, []

    def __call__(self):
        for _ in range(self.calls):
            training = Training(trainer=self.trainer, x_NTC=self.x_NTC, y_N=self.y_N, rng=self.rng)
            log = together.train(training, iterations=self.iterations)
            self.steps.append(log.iterations)
        return {**network_arrays(self.trainer.generator), **flatten(self.trainer.state_dict())}


def same(ones, others, *, rel=0.0):
    return all(
        set(one) == set(other)
        and all(np.allclose(one[n], other[n], rtol=0, atol=rel * size(one[n])) for n in one)
        for one, other in zip(ones, others, strict=True)
    )


def size(array):
    return float(np.abs(array).max())


def alone(**settings):
    return [Job(seed, **settings)() for seed in range(3)]


def test_alike_jobs_train_together_as_each_alone(groups):
    found = together.run_together([Job(seed) for seed in range(3)])
    assert groups == [3]
    assert same(found, alone(), rel=1e-4)


def test_a_job_by_itself_has_no_thread(groups):
    threads = []

    def job(seed):
        def work():
            threads.append(threading.current_thread())
            return Job(seed)()

        return work

    both = together.run_together([job(seed) for seed in range(2)])
    found = together.run_together([job(2)])
    assert groups == [2]
    assert [thread is threading.main_thread() for thread in threads] == [False, False, True]
    assert len(both) == 2
    assert same(found, alone()[2:])


def test_a_training_outside_a_job_is_that_of_the_trainer(groups):
    mine, plain = Job(0), Job(0)
    plain.trainer.train(plain.x_NTC, plain.y_N, iterations=2, rng=plain.rng)
    assert same([mine()], [{**network_arrays(plain.trainer.generator),
                            **flatten(plain.trainer.state_dict())}])  # fmt: skip
    assert not groups


def test_trainings_that_differ_are_trained_alone_bit_for_bit(groups):
    def jobs():
        regularised = {"generator_regulariser": lambda: torch.zeros(())}
        return [Job(0), Job(1, iterations=3), Job(2, **regularised), Job(3, iterations=2)]

    found = together.run_together(jobs())
    assert groups == [2]  # the first and the last
    expected = [job() for job in jobs()]
    assert same(found[1:3], expected[1:3])
    assert same(found, expected, rel=1e-4)


def test_jobs_may_train_different_numbers_of_times(groups):
    jobs = [Job(seed, calls=calls) for seed, calls in enumerate((1, 3, 0, 2))]
    found = together.run_together(jobs)
    assert [job.steps for job in jobs] == [[2], [2, 2, 2], [], [2, 2]]
    assert groups == [3, 2]  # and the third of the second job is alone
    expected = [Job(seed, calls=calls)() for seed, calls in enumerate((1, 3, 0, 2))]
    assert same(found, expected, rel=1e-3)


def test_what_a_job_did_before_its_training_stays_in_order():
    seen = []

    def job(name):
        def work():
            for turn in range(3):
                seen.append((turn, name))
                time.sleep(0.01 * (3 - name))  # the last would be first, were they concurrent
                Job(name)()
            return name

        return work

    assert together.run_together([job(name) for name in range(3)]) == [0, 1, 2]
    assert seen == [(turn, name) for turn in range(3) for name in range(3)]


def test_jobs_that_share_a_trainer_or_an_rng_do_not_train_together(groups):
    one, other = Job(0), Job(1)
    other.rng = one.rng
    together.run_together([one, other])
    together.run_together([one, one])
    assert not groups
    assert one.steps == [2, 2, 2]


def test_a_job_that_fails_hangs_no_other(groups):
    others = [Job(seed, calls=2) for seed in range(2)]

    def fails():
        raise ValueError("no data today")

    with pytest.raises(ValueError, match="no data today"):
        together.run_together([others[0], fails, others[1]])
    assert groups == [2, 2]
    assert [job.steps for job in others] == [[2, 2]] * 2


def test_a_training_that_fails_is_told_to_its_own_job_alone(groups):
    jobs = [Job(seed, bad=seed == 1) for seed in range(3)]

    def told(job):
        def work():
            try:
                return job()
            except DataError as error:
                return str(error)

        return work

    found = together.run_together([told(job) for job in jobs])
    assert groups == [3]  # tried, and then each alone
    assert isinstance(found[1], str)
    assert same([found[0], found[2]], alone()[::2])


def test_the_end_of_the_program_ends_all_jobs(groups):
    ended = []

    def waits():
        try:
            Job(0)()
        finally:
            ended.append("waits")

    def leaves():
        raise SystemExit(3)

    before = threading.active_count()
    with pytest.raises(SystemExit, match="3"):
        together.run_together([waits, leaves, waits])
    assert ended == ["waits"]  # the third has never begun
    assert not groups
    assert threading.active_count() == before


def test_each_job_keeps_its_number_of_threads():
    def job(count):
        def work():
            before = torch.get_num_threads()
            with torch_threads(count):
                Job(count)()
                inside = torch.get_num_threads()
            return before, inside, torch.get_num_threads()

        return work

    assert together.run_together([job(2), job(3)]) == [(1, 2, 1), (1, 3, 1)]
    assert torch.get_num_threads() == 1


INTERRUPTED = """
import signal
import time
from flwr_gan.app import together

# what a shell has started in the background ignores it
signal.signal(signal.SIGINT, signal.default_int_handler)

def work():
    try:
        print("running", flush=True)
        while True:
            time.sleep(0.01)
    finally:
        print("left", flush=True)

try:
    together.run_together([work, work])
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.slow
def test_an_interrupt_ends_the_job_that_runs():
    command = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert said.split() == ["left", "interrupted"]
    assert (errors, process.returncode) == ("", 0)


def federated(tmp_path, overrides, *, at_once=1, folder=None):
    folder = tmp_path / (folder or f"run{at_once}")
    text = f"{TINY} {overrides} federation.clients_at_once={at_once} output_dir={folder}"
    run_config, nodes = prepare_run_config(text, None)
    run_apps(
        server_app,
        client_app,
        num_supernodes=nodes,
        run_config=run_config,
        **engine_settings(run_config),
    )
    return folder


@pytest.mark.slow
def test_a_federation_learns_what_it_learns_one_by_one(tmp_path, groups):
    one = federated(tmp_path, AVERAGE)
    assert not groups
    three = federated(tmp_path, AVERAGE, at_once=3)
    assert groups == [3, 2] * 2
    generators = [load(folder / "generators" / "global.fgan") for folder in (one, three)]
    for name, array in generators[0].items():
        assert np.allclose(array, generators[1][name], rtol=0, atol=1e-3 * size(array))
    rows = [pd.read_csv(folder / "messages.csv").drop(columns=SIZES) for folder in (one, three)]
    varying = [c for c in rows[0] if rows[0][c].dtype.kind == "f"]
    pd.testing.assert_frame_equal(*(frame.drop(columns=varying) for frame in rows))


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        AVERAGE,
        "strategy=fedprox strategy.proximal_mu=0.1 federation.rounds=1 evaluation=none",
        "experiment=one_shot evaluation=none lottery.iterations=2",
        "privacy=dp_critic strategy=fedavg federation.rounds=1 evaluation=none",
        "regeneration=rg strategy=masked_fedavg federation.rounds=1 evaluation=none",
    ],
)
def test_the_same_federation_gives_the_same_bits(overrides, tmp_path):
    runs = [federated(tmp_path, overrides, at_once=2, folder=name) for name in "ab"]
    paths = sorted(p.relative_to(runs[0]) for p in (runs[0] / "generators").rglob("*.fgan"))
    assert paths
    for path in paths:
        assert (runs[0] / path).read_bytes() == (runs[1] / path).read_bytes()


@pytest.mark.parametrize("group", ["privacy=dp_critic", "regeneration=rg"])
@pytest.mark.slow
def test_training_of_other_kinds_is_as_one_by_one_bit_for_bit(group, tmp_path, groups):
    overrides = f"{group} strategy=fedavg federation.rounds=2 evaluation=none"
    one, two = (federated(tmp_path, overrides, at_once=count) for count in (1, 2))
    assert not groups
    path = "generators/global.fgan"
    assert (one / path).read_bytes() == (two / path).read_bytes()


def test_the_number_is_checked():
    with pytest.raises(ConfigError, match=r"federation.clients_at_once=0 is not allowed"):
        load_config(["federation.clients_at_once=0"])


def test_ray_refuses_it_in_one_line(tmp_path, capsys):
    settings = f"{TINY} {AVERAGE} federation.clients_at_once=2 output_dir={tmp_path / 'run'}"
    assert main(["--app", "flwr_gan", "--backend", "ray", "--run-config", settings]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "federation.clients_at_once=2" in line
    assert "--backend inline" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_the_command_hands_it_on(tmp_path, groups):
    settings = f"{TINY} {AVERAGE} federation.clients_at_once=5 output_dir={tmp_path / 'run'}"
    assert main(["--app", "flwr_gan", "--run-config", settings]) == 0
    assert groups == [5, 5]
