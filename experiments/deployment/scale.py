"""Twenty SuperNodes on this machine: time until online, memory and idle CPU time per node."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil

from experiments.deployment.command import measuring_command
from experiments.deployment.machines import CONNECTION, ROOT, Machine, Machines
from flwr_gan.errors import TrainingError

IDLE_S = 60.0
JOB = "strategy=fedavg federation.rounds=1 gan.local_iterations=1 evaluation=none codec=sparse:int8"


def measure(folder: Path, nodes: int) -> dict[str, object]:
    """Return the resources of a number of nodes, before and during a run with all of them."""
    with Machines(folder, tls=False, authentication=False) as machines:
        begun = time.monotonic()
        for at in range(nodes):
            machines.start_node(f"node{at}", f"partition-id={at} num-partitions={nodes}")
        while (online := _online(machines)) < nodes:
            if time.monotonic() - begun > 600:
                raise TrainingError(f"{online} of {nodes} nodes are online after ten minutes")
            time.sleep(1)
        row: dict[str, object] = {"nodes": nodes, "online_s": time.monotonic() - begun}
        everyone = list(machines.nodes.values())
        before = [_processor_s(node) for node in everyone]
        time.sleep(IDLE_S)
        used = [after - b for after, b in zip(map(_processor_s, everyone), before, strict=True)]
        row["idle_processor_%"] = 100 * sum(used) / len(used) / IDLE_S
        row["idle_mb_each"] = sum(map(_memory_mb, everyone)) / nodes
        clients = f"federation.num_clients={nodes} output_dir={folder / 'run'}"
        begun = time.monotonic()
        run_id = machines.submit(ROOT, {"overrides": f"{JOB} {clients}"})
        most = 0.0
        while not machines.status(run_id).startswith("finished"):
            most = max([most, *(_memory_mb(node, "flwr-clientapp") for node in everyone)])
            time.sleep(1)
        if (status := machines.status(run_id)) != "finished:completed":
            raise TrainingError(f"the run ended as {status}: see {folder}/superlink/log")
        row |= {"run_s": time.monotonic() - begun, "client_app_mb": most}
    return row


def _online(machines: Machines) -> int:
    said = machines.flwr("supernode", "list", CONNECTION, "--format", "json")
    found = json.loads(said[said.index("{") :])["nodes"]
    return sum(node["status"] == "online" for node in found)


def _processes(node: Machine) -> list[psutil.Process]:
    own = psutil.Process(node.process.pid)
    return [own, *own.children(recursive=True)]


def _processor_s(node: Machine) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in _processes(node))


def _memory_mb(node: Machine, command: str = "") -> float:
    """Return the memory of a node's processes, with their share of shared memory (PSS)."""
    total = 0
    for process in _processes(node):
        try:
            if command in " ".join(process.cmdline()):
                total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended
    return total / 2**20


def tables(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table, of one row."""
    yield "scale", pd.DataFrame([measure(options.work, options.nodes)])


if __name__ == "__main__":
    own = {"--nodes": {"type": int, "default": 20}}
    sys.exit(measuring_command("scale", __doc__, tables, own=own))
