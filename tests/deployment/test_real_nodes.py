"""Nodes that fail, are late, return or are started wrongly, as real processes."""

import shutil
import signal
from pathlib import Path

import pytest

from experiments.deployment.crashes import complete_ledger, crash
from experiments.deployment.machines import CONNECTION, Machines
from tests.deployment.watched import TINY, Followed, rounds, training, until

pytestmark = pytest.mark.soak


def start(nodes: Machines, *partitions: int) -> None:
    """Start nodes with these partitions, each with a folder of its own for its state."""
    for partition in partitions:
        nodes.start_node(f"node{partition}", f'partition-id={partition} state-dir="state"')


def states(nodes: Machines, partition: int) -> list[str]:
    """Return the rounds whose states a node has kept."""
    found = (nodes.folder / f"node{partition}").glob("state/**/round-*.npz")
    return sorted(path.stem for path in found)


def test_wrong_partition_ids_are_named_before_training(nodes: Machines, tmp_path: Path):
    for at, config in enumerate(["", "partition-id=0", 'partition-id="left"', "partition-id=4"]):
        nodes.start_node(f"wrong{at}", config)
    run = Followed(
        nodes, f"{TINY} federation.num_clients=4 federation.rounds=1 output_dir={tmp_path / 'run'}"
    )
    run.wait_for("no node is client 1, 2, 3; node ")
    for reason in (
        "the node has no partition-id: start it with --node-config 'partition-id=0'",
        "partition-id=left is no whole number from 0",
        "partition-id=4 is too large: federation.num_clients=4 allows 0 to 3",
    ):
        assert f"does not take part: {reason}" in run.said
    assert run.end() == "finished:failed"
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_two_nodes_with_one_partition_are_named_before_training(nodes: Machines, tmp_path: Path):
    nodes.start_node("one", "partition-id=0")
    nodes.start_node("other", "partition-id=0")
    run = Followed(
        nodes, f"{TINY} federation.num_clients=2 federation.rounds=1 output_dir={tmp_path / 'run'}"
    )
    run.wait_for("both have partition-id=0: start it with --node-config")
    assert run.end() == "finished:failed"
    assert not (tmp_path / "run").exists()


def test_a_node_that_is_late(nodes: Machines, tmp_path: Path):
    """The run ends when its wait is over, and the same command works when the node has come."""
    folder = tmp_path / "run"
    overrides = f"{TINY} federation.num_clients=2 federation.rounds=1 output_dir={folder}"
    start(nodes, 0)
    run = Followed(nodes, f"{overrides} federation.wait_s=35")
    run.wait_for("waiting for client 1: 1 connected, 30 s so far")
    run.wait_for("waiting for client 1: 1 connected after federation.wait_s=35: start them")
    assert run.end() == "finished:failed"
    again = Followed(nodes, overrides)
    again.wait_for("waiting for client 1: 1 connected")
    start(nodes, 1)
    assert again.end() == "finished:completed"
    assert list(rounds(folder)["clients"]) == [2]


def test_more_nodes_than_clients(nodes: Machines, tmp_path: Path):
    """Those take part whose partitions the run has; the third waits for another run."""
    start(nodes, 0, 1, 2)
    overrides = f"{TINY} federation.num_clients=2 federation.rounds=1"
    run = Followed(nodes, f"{overrides} output_dir={tmp_path / 'run'}")
    assert run.end() == "finished:completed"
    assert list(rounds(tmp_path / "run")["clients"]) == [2]
    assert states(nodes, 2) == []


def test_a_client_app_that_is_killed(nodes: Machines, tmp_path: Path):
    """Its reply is lost, the round is booked without it, and the node trains in the next one."""
    folder = tmp_path / "run"
    start(nodes, 0, 1)
    run = Followed(
        nodes, f"{TINY} federation.num_clients=2 federation.rounds=2 output_dir={folder}"
    )
    until(lambda: "ROUND 1" in nodes.nodes["node1"].log, what="round 1 at node1")
    training(nodes.nodes["node1"]).kill()
    assert run.end() == "finished:completed"
    assert rounds(folder)[["clients", "failures"]].values.tolist() == [[1, 1], [2, 0]]
    assert complete_ledger(folder)


def test_a_node_that_is_killed_in_training(nodes: Machines, tmp_path: Path):
    """Its reply is lost; the next round waits for it, says so, and goes on when it is back."""
    folder = tmp_path / "run"
    start(nodes, 0, 1)
    run = Followed(
        nodes, f"{TINY} federation.num_clients=2 federation.rounds=2 output_dir={folder}"
    )
    until(lambda: "ROUND 1" in nodes.nodes["node1"].log, what="round 1 at node1")
    training(nodes.nodes["node1"])
    crash(nodes.nodes["node1"])
    run.wait_for("waiting for client 1: 1 connected")
    start(nodes, 1)
    run.wait_for("client 1 is now node")
    assert run.end() == "finished:completed"
    assert rounds(folder)[["clients", "failures"]].values.tolist() == [[1, 1], [2, 0]]
    assert complete_ledger(folder)


def test_a_node_that_hangs(nodes: Machines, tmp_path: Path):
    """The round goes on without it after ``federation.round_timeout_s``."""
    folder = tmp_path / "run"
    start(nodes, 0, 1)
    run = Followed(
        nodes,
        f"{TINY} federation.num_clients=2 federation.rounds=2 federation.round_timeout_s=60 "
        f"output_dir={folder}",
    )
    node = nodes.nodes["node1"]
    until(lambda: "ROUND 1" in node.log, what="round 1 at node1")
    hanging = training(node)
    hanging.send_signal(signal.SIGSTOP)
    try:
        run.wait_for("round 1, fit: waiting for client 1 for 30 s")
        run.wait_for("round   1/2")
    finally:
        hanging.kill()
    assert run.end() == "finished:completed"
    assert rounds(folder)["clients"].iloc[0] == 1
    assert complete_ledger(folder)


def test_nodes_that_return_after_five_rounds(nodes: Machines, tmp_path: Path):
    """One has its state, the other lost it; both are told all that they need, and train.

    The run has more rounds than it needs: a node takes part in the round after its answer, and how
    many rounds that takes depends on the machine.
    """
    folder = tmp_path / "run"
    start(nodes, 0, 1, 2)
    run = Followed(
        nodes,
        f"{TINY} federation.num_clients=3 federation.min_clients=1 federation.rounds=99 "
        f"output_dir={folder}",
    )
    run.wait_for("round   1/99")
    crash(nodes.nodes["node1"])
    crash(nodes.nodes["node2"])
    shutil.rmtree(nodes.folder / "node2" / "state")
    run.wait_for("round   7/99")
    start(nodes, 1, 2)
    run.wait_for("client 1 is now node")
    run.wait_for("client 2 is now node")
    until(lambda: rounds(folder)["clients"].iloc[-1] == 3 or run.ended, what="a round of all three")
    assert states(nodes, 1)[0] == "round-00001"
    assert "round-00001" not in states(nodes, 2)
    nodes.flwr("stop", run.run_id, CONNECTION)
    assert run.end() == "finished:stopped"
    clients = list(rounds(folder)["clients"])
    assert clients[0] == clients[-1] == 3
    assert clients[2:7] == [1] * 5
    assert complete_ledger(folder)
