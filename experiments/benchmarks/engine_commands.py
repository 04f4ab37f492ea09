"""What whole commands take: the main job on each engine, and a sweep of tiny runs.

The main job is the command ``flower-simulation``, imports included. The sweep is
``python -m experiments.sweep`` over ten pruning rates, in a process of its own, without its
imports; the runs train and score nothing. Its ``overhead_s`` is what a run takes beyond the
training of its clients.
"""

import json
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from typing import Any

import pandas as pd

from experiments.benchmarks.output import medians_of, row_of_process
from flwr_gan.engine.run_apps import BACKENDS
from flwr_gan.errors import TrainingError

MODULE = "experiments.benchmarks.engine_commands"
SWEPT_RUNS = 10
TINY = (
    "partition=iid federation.num_clients=2 gan.local_iterations=1 gan.channels=[8,8] "
    "gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 lottery.iterations=1 "
    "lottery.min_kept_per_layer=8 strategy.rounds_per_level=1 evaluation=none"
)


def measure_commands(repeats: int, *, short: bool) -> pd.DataFrame:
    """Return a row a command: the median of its seconds.

    With ``short`` the main job is a tiny one.
    """
    rows = []
    for _ in range(repeats):
        rows += [_main_job(backend, TINY if short else "") for backend in BACKENDS]
        rows.append(row_of_process("the sweep", "-m", MODULE, str(SWEPT_RUNS)))
    return medians_of(rows, ["command", "engine", "runs"])


def sweep(runs: int) -> dict[str, Any]:
    """Do a sweep of tiny runs in this process; return its row."""
    from experiments import sweep as command  # with torch, which other rows do without
    from flwr_gan.app.client import GanClient

    rates = ",".join(f"{0.1 + 0.05 * i:.2f}" for i in range(runs))
    trained: list[float] = []
    fit = GanClient.fit

    def timed_fit(client: Any, *given: Any) -> Any:
        begun = time.perf_counter()
        try:
            return fit(client, *given)
        finally:
            trained.append(time.perf_counter() - begun)

    GanClient.fit = timed_fit  # type: ignore[method-assign, assignment]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        begun = time.perf_counter()
        arguments = ["-m", *TINY.split(), f"lottery.rate={rates}", f"sweep_dir={folder}/sweep"]
        status = command.main(arguments)
        wall_s = time.perf_counter() - begun
    GanClient.fit = fit  # type: ignore[method-assign]
    if status:
        raise TrainingError("the sweep of tiny runs failed; see above")
    return {
        "command": "sweep",
        "engine": "inline",
        "runs": runs,
        "wall_s": wall_s,
        "training_s": sum(trained) / runs,
        "overhead_s": (wall_s - sum(trained)) / runs,
    }


def _main_job(backend: str, settings: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "flwr_gan.cli", "--app", "flwr_gan"]
        own = ["--backend", backend, "--run-config", f"{settings} output_dir={folder}/run"]
        begun = time.perf_counter()
        done = subprocess.run([*command, *own], check=False, stdout=subprocess.DEVNULL)
        wall_s = time.perf_counter() - begun
    if done.returncode:
        raise TrainingError(f"the main job on {backend} ended with {done.returncode}; see above")
    return {"command": "flower-simulation", "engine": backend, "runs": 1, "wall_s": wall_s}


if __name__ == "__main__":
    print(json.dumps(sweep(int(sys.argv[1]))))
