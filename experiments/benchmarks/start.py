"""CPU seconds of a new process for the imports that a message on a real node needs.

Flower's SuperNode starts a process for each message. Each way is compared with the imports of any
such app: only Flower, or Flower and torch.
"""

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import pandas as pd

from experiments.benchmarks.output import in_turn, ratios, run_benchmark

FLOWER, TORCH = "import flwr.clientapp", "import torch, flwr.clientapp"
WAYS = {
    "the wire in a foreign app": (f"{FLOWER}; from flwr_gan.flower import compression_mod", FLOWER),
    "the client app": ("import flwr_gan.client_app", TORCH),
    "the client app and its training": (
        "import flwr_gan.client_app, flwr_gan.app.continual",
        TORCH,
    ),
}


def measure(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table: one row per way."""
    codes = {name: code for name, (code, _) in WAYS.items()} | {c: c for c in (FLOWER, TORCH)}
    ways: dict[str, Callable[[], float]] = {n: partial(processor_s, c) for n, c in codes.items()}
    found = in_turn(ways, repeats=2 if options.short else 9)
    rows = [
        {
            "imports": name,
            "cpu_s": median(found[name]),
            "beside": beside.removeprefix("import "),
            "beside_cpu_s": median(found[beside]),
            "more_cpu_s": median(found[name]) - median(found[beside]),
            **ratios(found, name, beside),
        }
        for name, (_, beside) in WAYS.items()
    ]
    yield "", pd.DataFrame(rows)


def processor_s(code: str) -> float:
    """Return the processor seconds of a new Python process that runs some code."""
    before = _children_s()
    subprocess.run([sys.executable, "-c", code], check=True)
    return _children_s() - before


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(run_benchmark("start", __doc__, measure, short="2 repeats in place of 9"))
