"""Client updates a second of the engines: this process, processes, and Flower's Ray.

``python -m experiments.benchmarks.engine [--short] [--output FILE]`` runs the tasks of
``engine_tasks.py`` on each engine, in a process of its own, in turn, and writes a row an engine and
task: the median over repeats, and how many times its updates a processor second are Ray's. A row
more has 20,000 clients. Imports are not counted. ``first_message_s`` is from the start of the
engine until the first client begins; ``updates_per_s`` begins with the second round, when all
workers are warm; ``updates_per_cpu_s`` counts processor seconds of the process and its children
from the tenth round on, which other work on the machine changes less; ``growth_mb`` is the memory
at the end less that after ten rounds.

What limits each: ``inline`` one core, of which an empty update spends most in Flower's conversions
of a message; ``processes`` pickling each message and state twice, in one process, so that it is
for clients that train for more than some milliseconds; ``ray`` its object store and Flower's
message queues, polled for each message.

Where ``pfl`` is installed, pfl-research's numpy engine is measured too, see ``engine_pfl.py``.

Beside FILE, ``FILE_commands.csv`` has what whole commands take, see ``engine_commands.py``.
"""

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.benchmarks.engine_commands import measure_commands
from experiments.benchmarks.engine_tasks import TASKS, measure, write_images
from experiments.benchmarks.output import medians_of, row_of_process, run_benchmark
from flwr_gan.engine.run_apps import BACKENDS

BASELINE = "ray"
CELL = "--cell"
"""In front of what a process of its own measures."""
CLIENTS, MANY_CLIENTS = 1000, 20_000
ROUNDS = {"empty": 200, "lr": 100}
SHORT_ROUNDS = 20
KEYS = ["task", "engine", "clients", "rounds"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the tables; return the exit status."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == [CELL]:
        logging.getLogger("flwr").setLevel(logging.ERROR)
        print(json.dumps(_measured(*given[1:])))
        return 0
    return run_benchmark(
        "engine", __doc__, tables, arguments,
        short=f"{SHORT_ROUNDS} rounds, fewer images, one repeat", add_options=add_options,
    )  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add how often all is measured."""
    parser.add_argument("--repeats", type=int, help="default: 3, or 1 with --short")


def tables(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tables of engines and of whole commands."""
    repeats = options.repeats or (1 if options.short else 3)
    yield "", summarise(_cells(repeats, short=options.short))
    yield "_commands", measure_commands(repeats, short=options.short)


def summarise(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the median of each cell, with its updates a processor second to those of Ray."""
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
                    f"{cell[0]} {cell[1]}", "-m", "experiments.benchmarks.engine", CELL,
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


if __name__ == "__main__":
    sys.exit(main())
