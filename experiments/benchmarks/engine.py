"""Client updates per second of the engines: this process, processes, and Flower's Ray.

``python -m experiments.benchmarks.engine [--short] [--output FILE]`` runs the tasks of
``engine_tasks.py`` on each engine in turn, each in a separate process. It writes one row per engine
and task: the median over repeats, and the ratio of its updates per processor second to Ray's. One
more row has 20,000 clients. Imports are not counted. ``first_message_s`` is the time from the start
of the engine until the first client begins; ``updates_per_s`` begins with the second round, when
all workers are warm; ``updates_per_cpu_s`` counts processor seconds of the process and its children
from the tenth round on, which depend less on other work on the machine; ``growth_mb`` is the memory
at the end minus the memory after ten rounds.

Limits: ``inline`` uses one core, and an empty update spends most of its time in Flower's
conversions of messages; ``processes`` pickles each message and state twice, in one process, so it
is for clients that train for more than some milliseconds; ``ray`` is limited by its object store
and by Flower's message queues, which are polled for each message.

If ``pfl`` is installed, pfl-research's numpy engine is measured too, see ``engine_pfl.py``.

``FILE_commands.csv`` has the time of whole commands: the main job by ``flower-simulation`` with its
imports, on each engine; and a sweep over ten pruning rates without its imports, whose runs train
and score nothing. ``overhead_s`` is the time of a run beyond the training of its clients.
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd

from experiments.benchmarks.engine_tasks import TASKS, measure, write_images
from experiments.benchmarks.output import medians_of, row_of_process, run_benchmark
from flwr_gan.engine.run_apps import BACKENDS
from flwr_gan.errors import TrainingError

SWEPT_RUNS = 10
TINY = (
    "partition=iid federation.num_clients=2 gan.local_iterations=1 gan.channels=[8,8] "
    "gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 lottery.iterations=1 "
    "lottery.min_kept_per_layer=8 strategy.rounds_per_level=1 evaluation=none"
)
MODULE = "experiments.benchmarks.engine"
BASELINE = "ray"
CELL = "--cell"
"""Prefix of the code that a separate process measures."""
CLIENTS, MANY_CLIENTS = 1000, 20_000
ROUNDS = {"empty": 200, "lr": 100}
SHORT_ROUNDS = 20
KEYS = ["task", "engine", "clients", "rounds"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the tables; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == [CELL]:
        logging.getLogger("flwr").setLevel(logging.ERROR)
        print(json.dumps(_measured(*given[1:]) if given[2:] else sweep(int(given[1]))))
        return 0
    return run_benchmark(
        "engine", __doc__, tables, arguments,
        short=f"{SHORT_ROUNDS} rounds, fewer images, one repeat",
        own={"--repeats": {"type": int, "help": "default: 3, or 1 with --short"}},
    )  # fmt: skip


def tables(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tables of engines and of whole commands."""
    repeats = options.repeats or (1 if options.short else 3)
    yield "", summarise(_cells(repeats, short=options.short))
    yield "_commands", measure_commands(repeats, short=options.short)


def summarise(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the median of each cell, with the ratio of its updates per processor second to Ray."""
    medians = medians_of(rows, KEYS)
    data = pd.DataFrame(rows).groupby(KEYS, sort=False)["data"].first()
    medians.insert(4, "data", data.to_numpy())
    baseline = medians[medians.engine == BASELINE].set_index(["task", "clients"]).updates_per_cpu_s
    cells = pd.MultiIndex.from_frame(medians[["task", "clients"]])
    medians["ratio"] = medians.updates_per_cpu_s / baseline.reindex(cells).to_numpy()
    return medians


def cells(*, short: bool) -> list[tuple[str, str, int, int]]:
    """Return engine, task, clients and rounds of all cells, in the order of the table."""
    engines = [*BACKENDS, *(["pfl"] if find_spec("pfl") else [])]
    own = [(engine, task, CLIENTS) for task in TASKS for engine in engines]
    own.insert(len(engines), ("inline", "empty", MANY_CLIENTS))
    return [
        (engine, task, clients, SHORT_ROUNDS if short else ROUNDS[task])
        for engine, task, clients in own
    ]


def _cells(repeats: int, *, short: bool) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = write_images(Path(folder), short=short)
        for repeat in range(repeats):
            for cell in cells(short=short):
                row = row_of_process(
                    f"{cell[0]} {cell[1]}", "-m", MODULE, CELL,
                    *map(str, cell), folder,
                )  # fmt: skip
                rows.append(row | {"data": data})
                print(f"repeat {repeat + 1} of {repeats}:", json.dumps(rows[-1]), flush=True)
    return rows


def _measured(engine: str, task: str, clients: str, rounds: str, data: str) -> dict[str, Any]:
    settings: dict[str, Any] = {"clients": int(clients), "rounds": int(rounds), "data": Path(data)}
    if engine != "pfl":
        return measure(engine, task, **settings)
    from experiments.benchmarks.engine_pfl import measure_pfl

    return measure_pfl(task, **settings)


def measure_commands(repeats: int, *, short: bool) -> pd.DataFrame:
    """Return the median seconds of each command; with ``short`` the main job is a tiny one."""
    rows = []
    for _ in range(repeats):
        rows += [_main_job(backend, TINY if short else "") for backend in BACKENDS]
        rows.append(row_of_process("the sweep", "-m", MODULE, CELL, str(SWEPT_RUNS)))
    return medians_of(rows, ["command", "engine", "runs"])


def sweep(runs: int) -> dict[str, Any]:
    """Run a sweep of tiny runs in this process; return its row."""
    from experiments import sweep as command  # imports torch, which other rows do not need
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

    with (
        tempfile.TemporaryDirectory() as folder,
        redirect_stdout(sys.stderr),
        patch.object(GanClient, "fit", timed_fit),
    ):
        begun = time.perf_counter()
        arguments = ["-m", *TINY.split(), f"lottery.rate={rates}", f"sweep_dir={folder}/sweep"]
        status = command.main(arguments)
        wall_s = time.perf_counter() - begun
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
    sys.exit(main())
