"""A federation of real processes whose nodes are killed at random for a while."""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from experiments.deployment.crashes import complete_ledger, crash, processes, zombies
from experiments.deployment.machines import ROOT, Machines
from experiments.study.results import write_table
from flwr_gan.errors import FlwrGanError, TrainingError

RESULTS = Path(__file__).with_name("results")
SETTINGS = (
    "strategy=fedavg codec=sparse:int8 partition=iid evaluation=none federation.rounds=100000 "
    "federation.min_clients=1 federation.round_timeout_s=300 gan.local_iterations=2"
)
MEAN_LIFE_S = 90.0  # of the federation between two deaths
DOWN_S = 20.0  # how long a node stays away
MIB = 2**20


def soak(folder: Path, *, minutes: float, nodes: int, seed: int) -> dict[str, object]:
    """Run a federation for so long, and kill nodes; return what has become of it.

    Raises ``TrainingError`` when the run ends before, or no round is finished.
    """
    rng = np.random.default_rng(seed)
    run_folder, killed, lasting_s = folder / "run", 0, [0.0]
    with Machines(folder, tls=False, authentication=False) as machines:
        for at in range(nodes):
            _start(machines, at)
        overrides = f"{SETTINGS} federation.num_clients={nodes} output_dir={run_folder}"
        run_id = machines.submit(ROOT, {"overrides": overrides})
        superlink = machines.superlink
        assert superlink is not None
        end, done, since = time.monotonic() + 60 * minutes, 0, time.monotonic()
        death = time.monotonic() + 60 + rng.exponential(MEAN_LIFE_S)
        first_mib, last_mib = (0.0, 0.0), (0.0, 0.0)
        while (now := time.monotonic()) < end:
            if now > death:
                at = int(rng.integers(nodes))
                crash(machines.nodes[f"node{at}"])
                killed += 1
                time.sleep(DOWN_S)
                _start(machines, at)
                death = time.monotonic() + rng.exponential(MEAN_LIFE_S)
            table = run_folder / "rounds.csv"
            if table.exists() and (found := len(pd.read_csv(table))) > done:
                lasting_s.append(now - since)
                done, since = found, now
                last_mib = _memory(machines)
                first_mib = first_mib if first_mib[0] else last_mib
                print(f"{done} rounds, {killed} nodes killed, server {last_mib[0]:.0f} MiB")
            if done and not processes(superlink, "flwr-serverapp"):
                raise TrainingError(f"the run ended as {machines.status(run_id)}")
            time.sleep(1)
        left = zombies(superlink)
        machines.flwr("stop", run_id, "here")
        machines.wait(run_id, timeout_s=120)
    if not done:
        raise TrainingError(f"no round was finished in {minutes:g} minutes")
    return {
        "minutes": minutes,
        "nodes": nodes,
        "rounds": done,
        "killed": killed,
        "failures": int(pd.read_csv(run_folder / "rounds.csv")["failures"].sum()),
        "longest_round_s": round(max(*lasting_s, end - since), 1),
        "server_mib_first": first_mib[0],
        "server_mib_last": last_mib[0],
        "superlink_mib_first": first_mib[1],
        "superlink_mib_last": last_mib[1],
        "zombies_of_superlink": left,
        "ledger_complete": complete_ledger(run_folder),
    }


def _start(machines: Machines, at: int) -> None:
    machines.start_node(f"node{at}", f'partition-id={at} state-dir="state"')


def _memory(machines: Machines) -> tuple[float, float]:
    """Return the resident memory of the server app and of the SuperLink, in MiB."""
    import psutil

    assert machines.superlink is not None
    own = psutil.Process(machines.superlink.process.pid)
    server = processes(machines.superlink, "flwr-serverapp")
    total = sum(process.memory_info().rss for process in server)
    return total / MIB, own.memory_info().rss / MIB


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status, 1 where the ledger is not complete."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.deployment.soak", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of who is killed, and when")
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIR")
    options = parser.parse_args(arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    try:
        with TemporaryDirectory(prefix="flwr_gan_soak_") as folder:
            row = soak(
                Path(folder), minutes=options.minutes, nodes=options.nodes, seed=options.seed
            )
    except FlwrGanError as error:
        print(f"experiments.deployment.soak: {error}", file=sys.stderr)
        return error.exit_status
    write_table(pd.DataFrame([row]), options.output / "soak.csv")
    print("\n".join(f"{key:>22}  {value}" for key, value in row.items()))
    return int(not row["ledger_complete"])


if __name__ == "__main__":
    sys.exit(main())
