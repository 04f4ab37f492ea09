"""A federation of real processes whose nodes are killed at random for half an hour."""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from experiments.deployment.command import measuring_command
from experiments.deployment.crashes import complete_ledger, crash, processes, zombies
from experiments.deployment.machines import ROOT, Machines
from flwr_gan.errors import TrainingError

# at least two clients per round: one is left when another is killed
JOB = (
    "strategy=fedavg codec=sparse:int8 partition=iid evaluation=none federation.rounds=100000 "
    "federation.min_clients=2 federation.round_timeout_s=300 gan.local_iterations=2"
)
MEAN_LIFE_S = 90.0  # mean time between two kills in the federation
DOWN_S = 20.0  # time until a killed node returns
MIB = 2**20


def soak(folder: Path, *, minutes: float, nodes: int, seed: int) -> pd.DataFrame:
    """Run a federation for some minutes and kill nodes; return one row with the results.

    Raises ``TrainingError`` if the run ends early, if no round is finished, or if the ledger lacks
    a row.
    """
    rng = np.random.default_rng(seed)
    run_folder = folder / "run"
    killed, rounds, lasting_s, memory_mib = 0, 0, [0.0], [(0.0, 0.0)]
    with Machines(folder, tls=False, authentication=False) as machines:
        for at in range(nodes):
            _start(machines, at)
        overrides = f"{JOB} federation.num_clients={nodes} output_dir={run_folder}"
        run_id = machines.submit(ROOT, {"overrides": overrides})
        superlink = machines.superlink
        assert superlink is not None
        since = time.monotonic()
        end, death = since + 60 * minutes, since + 60 + rng.exponential(MEAN_LIFE_S)
        while (now := time.monotonic()) < end:
            if now > death:
                at = int(rng.integers(nodes))
                crash(machines.nodes[f"node{at}"])
                killed += 1
                time.sleep(DOWN_S)
                _start(machines, at)
                death = time.monotonic() + rng.exponential(MEAN_LIFE_S)
            table = run_folder / "rounds.csv"
            if table.exists() and (found := len(pd.read_csv(table))) > rounds:
                lasting_s.append(now - since)
                since, rounds = now, found
                memory_mib.append(_memory_mib(machines))
                left_min = (end - now) / 60
                print(f"{rounds} rounds, {killed} nodes killed, {left_min:.0f} min left")
            if rounds and not processes(superlink, "flwr-serverapp"):
                raise TrainingError(f"the run ended as {machines.status(run_id)}")
            time.sleep(1)
        left = zombies(superlink)
        machines.flwr("stop", run_id, "here")
        machines.wait(run_id, timeout_s=120)
    if not rounds:
        raise TrainingError(f"no round was finished in {minutes:g} minutes")
    if not complete_ledger(run_folder):
        raise TrainingError(f"the ledger lacks rows: see {run_folder}/messages.csv")
    half, last = memory_mib[len(memory_mib) // 2], memory_mib[-1]
    row = {
        "minutes": minutes,
        "nodes": nodes,
        "rounds": rounds,
        "killed": killed,
        "failures": int(pd.read_csv(run_folder / "rounds.csv")["failures"].sum()),
        "longest_round_s": round(max(*lasting_s, end - since), 1),
        "server_mib_half": half[0],
        "server_mib_end": last[0],
        "superlink_mib_half": half[1],
        "superlink_mib_end": last[1],
        "zombies_of_superlink": left,
    }
    return pd.DataFrame([row])


def _start(machines: Machines, at: int) -> None:
    machines.start_node(f"node{at}", f'partition-id={at} state-dir="state"')


def _memory_mib(machines: Machines) -> tuple[float, float]:
    """Return the resident memory of the server app and of the SuperLink."""
    assert machines.superlink is not None
    own = psutil.Process(machines.superlink.process.pid)
    server = processes(machines.superlink, "flwr-serverapp")
    total = sum(process.memory_info().rss for process in server)
    return total / MIB, own.memory_info().rss / MIB


def tables(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table, of one row."""
    found = soak(options.work, minutes=options.minutes, nodes=options.nodes, seed=options.seed)
    yield "soak", found


OPTIONS: dict[str, dict[str, Any]] = {
    "--minutes": {"type": float, "default": 30.0},
    "--nodes": {"type": int, "default": 3},
    "--seed": {"type": int, "default": 0, "help": "of who is killed, and when"},
}

if __name__ == "__main__":
    sys.exit(measuring_command("soak", __doc__, tables, own=OPTIONS))
