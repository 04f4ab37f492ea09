"""Clients in processes: as in one process, whatever becomes of a worker."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from flwr_gan.engine.processes_grid import ProcessesGrid
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.flower.flwr_private import Run
from tests.engine.asked_nodes import asked

engine = sys.modules["flwr_gan.engine.run_apps"]  # whose function has its name in the package
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")


@pytest.fixture
def grid_of():
    """Return a function that makes a grid of three nodes, whose workers are ended afterwards."""
    grids = []

    def make(train, *, workers=2, **settings):
        app = ClientApp()
        app.train()(train)
        run = Run.create_empty(1)
        grids.append(
            ProcessesGrid(
                app, workers=workers, num_supernodes=3, run_config={"x": 1}, run=run, **settings
            )
        )
        return grids[-1]

    yield make
    for grid in grids:
        grid.close()


def orders(nodes=(2, 3, 4), **values):
    return [Message(RecordDict({"order": ConfigRecord(values)}), n, "train") for n in nodes]


def answers(grid, messages):
    replies = grid.send_and_receive(messages)
    return [r.error.reason if r.has_error() else dict(r.content["out"]) for r in replies]


def reply(message, **values):
    return Message(RecordDict({"out": ConfigRecord(values)}), reply_to=message)


def test_nodes_fail_and_keep_their_states_as_in_one_process():
    assert asked("processes") == asked("inline")


def test_a_state_goes_to_whichever_worker_runs_the_node_next(grid_of):
    def train(message, context):
        arrays = context.state.array_records.setdefault("a", ArrayRecord([np.zeros(3)]))
        context.state["a"] = ArrayRecord([arrays["0"].numpy() + context.node_id])
        return reply(message, sum=float(context.state["a"]["0"].numpy().sum()))

    grid = grid_of(train)
    for turn in (1, 2, 3):
        assert answers(grid, orders()) == [{"sum": 3.0 * turn * node} for node in (2, 3, 4)]


def test_clients_run_side_by_side_each_with_one_thread(grid_of):
    import torch

    barrier = multiprocessing.get_context("fork").Barrier(2)

    def train(message, context):
        barrier.wait(timeout=20)
        return reply(message, pid=os.getpid(), threads=torch.get_num_threads())

    first, second = answers(grid_of(train), orders((2, 3)))
    assert len({first["pid"], second["pid"], os.getpid()}) == 3
    assert (first["threads"], second["threads"]) == (1, 1)


def test_a_second_message_to_a_node_finds_the_state_of_the_first(grid_of):
    def train(message, context):
        seen = context.state.config_records.setdefault("seen", ConfigRecord({"calls": 0}))
        seen["calls"] += 1
        return reply(message, calls=seen["calls"])

    found = answers(grid_of(train), orders((2, 3, 2)))
    assert found == [{"calls": 1}, {"calls": 1}, {"calls": 2}]


def test_an_app_that_cannot_be_pickled_runs(grid_of):
    lock = threading.Lock()

    def train(message, context):
        with lock:
            return reply(message, node=context.node_id)

    assert answers(grid_of(train), orders()) == [{"node": node} for node in (2, 3, 4)]


class Unpicklable(ConfigRecord):
    def __reduce__(self):
        raise TypeError("not this one")


def test_a_reply_that_cannot_be_pickled_is_an_error_in_one_line(grid_of):
    def train(message, context):
        return Message(RecordDict({"out": Unpicklable({"x": 1})}), reply_to=message)

    (reason,) = answers(grid_of(train), orders((3,)))
    assert reason == "partition 1: its reply cannot be sent: TypeError: not this one"


def test_errors_have_the_words_of_one_process(grid_of):
    def train(message, context):
        raise DataError("no data") if context.node_id == 2 else ValueError("no value")

    found = answers(grid_of(train), orders((2, 3)))
    assert found == ["partition 0: no data", "partition 1: ValueError: no value"]


def test_a_killed_worker_costs_its_client_and_another_takes_its_place(grid_of):
    def train(message, context):
        if message.content["order"]["kill"] == context.node_id:
            os.kill(os.getpid(), signal.SIGKILL)
        return reply(message, pid=os.getpid())

    grid = grid_of(train)
    before = {found["pid"] for found in answers(grid, orders(kill=0))}
    good, killed, also_good = answers(grid, orders(kill=3))
    assert killed.startswith("partition 1: its worker process was ended by SIGKILL")
    assert "\n" not in killed
    assert "pid" in good
    assert "pid" in also_good
    after = {found["pid"] for found in answers(grid, orders(kill=0))}
    assert after - before


def test_a_client_that_exits_costs_itself(grid_of):
    def train(message, context):
        if context.node_id == 2:
            sys.exit(3)
        if context.node_id == 3:
            os._exit(4)
        return reply(message, fine=True)

    exits, ends, fine = answers(grid_of(train), orders())
    assert exits == "partition 0: SystemExit: 3"
    assert "with status 4" in ends
    assert fine == {"fine": True}


def test_workers_draw_different_numbers(grid_of):
    barrier = multiprocessing.get_context("fork").Barrier(2)

    def train(message, context):
        barrier.wait(timeout=20)
        return reply(message, drawn=np.random.random())  # noqa: NPY002

    first, second = answers(grid_of(train), orders((2, 3)))
    assert first != second


def test_closing_ends_all_workers_at_once(grid_of):
    def train(message, context):
        time.sleep(60)

    grid = grid_of(train)
    closing = threading.Timer(0.2, grid.close)
    closing.start()
    begun = time.perf_counter()
    reasons = answers(grid, orders((2, 3)))
    assert time.perf_counter() - begun < 20
    assert all("its worker process was ended by SIGKILL" in reason for reason in reasons)


INTERRUPTED = """
import os
import signal
import time
from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr_gan.engine.run_apps import run_apps

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
server, client = ServerApp(), ClientApp()

@client.train()
def train(message, context):
    os.write(1, b"begun\\n")  # in one piece, for two clients say so at once
    time.sleep(60)

@server.main()
def main(grid, context):
    grid.send_and_receive([Message(RecordDict(), n, "train") for n in grid.get_node_ids()])

try:
    run_apps(server, client, num_supernodes=2, run_config={}, backend="processes")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_server_and_workers():
    command = [sys.executable, "-c", INTERRUPTED]
    program = subprocess.Popen(command, stdout=-1, text=True, start_new_session=True)
    assert program.stdout.readline() == "begun\n"
    os.killpg(program.pid, signal.SIGINT)
    out, _ = program.communicate(timeout=120)  # the pipe closes when the last worker has ended
    assert out.splitlines()[-1] == "interrupted"
    assert program.returncode == 0


def run(**settings):
    run_apps(ServerApp(), ClientApp(), run_config={}, **{"num_supernodes": 2} | settings)


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"backend_config": {"cores": 2}}, ["unknown key cores", "state_memory_mb, workers"]),
        ({"backend_config": {"workers": 0}}, ["workers=0", "a whole number of at least 1"]),
        ({"backend_config": {"workers": 1.5}}, ["workers=1.5", "whole number"]),
        ({"backend_config": {"state_memory_mb": -1}}, ["state_memory_mb=-1", "at least 0"]),
        ({"in_one_process": "federation.threads=2"}, ["federation.threads=2", "one thread each"]),
        ({"clients_at_once": 2}, ["clients_at_once=2", "--backend inline"]),
        ({"backend": "dask"}, ["backend='dask' is not allowed", "inline or processes or ray"]),
    ],
)
def test_settings_that_are_not_allowed_are_named(settings, parts):
    with pytest.raises(ConfigError) as raised:
        run(**{"backend": "processes"} | settings)
    assert all(part in str(raised.value) for part in parts)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("cores", "platform", "settings", "backend"),
    [
        (2, "linux", {}, "processes"),
        (1, "linux", {}, "inline"),
        (2, "linux", {"num_supernodes": 1}, "inline"),
        (2, "darwin", {}, "inline"),
        (2, "linux", {"in_one_process": "federation.threads=2"}, "inline"),
    ],
)
def test_the_backend_is_chosen_by_cores_and_said_in_one_line(
    cores, platform, settings, backend, monkeypatch, caplog
):
    monkeypatch.setattr(engine, "cores", lambda: cores)
    monkeypatch.setattr(engine.sys, "platform", platform)
    given = {"num_supernodes": 2, "in_one_process": None} | settings
    monkeypatch.setattr(engine.log, "propagate", True)
    with caplog.at_level("INFO", logger=engine.log.name):
        assert engine._chosen_backend(*given.values()) == backend
    (line,) = caplog.messages
    assert line.startswith(f"backend: {backend}")


def test_it_needs_linux(monkeypatch):
    monkeypatch.setattr(engine.sys, "platform", "darwin")
    with pytest.raises(ConfigError, match="needs Linux: use --backend inline or ray"):
        run(backend="processes")
