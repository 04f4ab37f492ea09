"""Training and sampling of tickets: this build against dense layers and against another checkout.

``measure_tickets`` is a part of ``python -m experiments.benchmarks.trainer``. Each way is a process
that runs this file as a script, with the measured checkout first on the path; so the script does
not import ``experiments``. For each input line, with the name of a part and the number of prunings,
it runs the part once on one core and prints the seconds of processor time.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from flwr_gan.errors import ConfigError
from flwr_gan.gan import (
    Critic,
    GanConfig,
    Generator,
    WganGpTrainer,
    build_networks,
    load_network_arrays,
    network_arrays,
    sample,
)
from flwr_gan.prune.pruner import LotteryConfig
from flwr_gan.prune.ticket import find_ticket

TICKETS = {
    5: (0.4289, 0.0558, 0.3576),
    10: (0.1364, 0.0275, 0.2839),
    15: (0.0410, 0.0177, 0.2170),
    16: (0.0323, 0.0150, 0.2060),
    17: (0.0254, 0.0127, 0.1997),
}
"""Shares of weights that trained generators keep after P prunings, layer by layer."""
ROWS = {"iteration": (0, 5, 10, 17), "sampling": (0, 5, 10, 17), "search": (17,)}
NUM_VECTORS, NUM_COMPONENTS, NUM_CLASSES, NUM_SAMPLES = 10, 3, 39, 3314
SAMPLED = 4096

Arrays = dict[str, NDArray[np.float32]]


def networks(config: GanConfig) -> tuple[Generator, Critic]:
    """Return the networks of a config for the shape of the paper's data."""
    shape = {"num_vectors": NUM_VECTORS, "num_components": NUM_COMPONENTS}
    built = build_networks(config, **shape, num_classes=NUM_CLASSES, seed=0)
    return cast(tuple[Generator, Critic], built)


def samples() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return random samples and labels, as many as the paper has."""
    rng = np.random.default_rng(0)
    x_NTC = rng.uniform(-1, 1, (NUM_SAMPLES, NUM_VECTORS, NUM_COMPONENTS)).astype(np.float32)
    return x_NTC, rng.integers(NUM_CLASSES, size=NUM_SAMPLES)


class Tickets:
    """The paper's generator after several numbers of prunings, and the measured parts.

    Weights are read from ``FLWR_GAN_WEIGHTS`` (flat float32 arrays ``generator_p0.npy`` and so on,
    in the generator's order); without it they are random, with the densities of ``TICKETS``.

    ``critic_iterations`` is R, critic steps for each generator iteration.
    """

    def __init__(self, *, critic_iterations: int) -> None:
        config = GanConfig(
            batch_size=256,
            critic_iterations=critic_iterations,
            fresh_batch=False,
            generator_lr=1e-4,
            critic_lr=1e-4,
        )
        self._generator, critic = networks(config)
        self._trainer = WganGpTrainer(self._generator, critic, config=config)
        self._x_NTC, self._y_N = samples()
        self._rng = torch.Generator().manual_seed(0)
        folder = os.environ.get("FLWR_GAN_WEIGHTS")
        if folder:
            read = {P: np.load(Path(folder) / f"generator_p{P}.npy") for P in (0, *TICKETS)}
            self._weights = {P: self._named(flat) for P, flat in read.items()}
        else:
            self._weights = self._made_up()

    def seconds(self, part: str, prunings: int) -> float:
        """Run a part once; return its processor seconds."""
        load_network_arrays(self._generator, self._weights[prunings])
        started = time.process_time()
        getattr(self, part)(prunings)
        return time.process_time() - started

    def iteration(self, prunings: int) -> None:
        """Train for one generator iteration with its critic steps."""
        weights = self._weights[prunings]
        self._train({name: array != 0 for name, array in weights.items()} if prunings else None)

    def sampling(self, prunings: int) -> None:
        """Generate samples."""
        sample(self._generator, np.arange(SAMPLED) % NUM_CLASSES, rng=self._rng)

    def search(self, prunings: int) -> None:
        """Search for a ticket: one generator iteration per level, masks of the trained tickets."""
        ranks = self._ranks()

        def train(level: int, weights: Arrays, mask: Mapping[str, NDArray[np.bool_]]) -> Arrays:
            load_network_arrays(self._generator, weights)
            self._trainer.restart()
            self._train(mask)
            return ranks

        config = LotteryConfig(rate=0.2, iterations=prunings, train_final=True)
        for _ in find_ticket(self._weights[0], train, config=config):
            pass

    def _train(self, mask: Mapping[str, NDArray[np.bool_]] | None) -> None:
        self._trainer.train(self._x_NTC, self._y_N, iterations=1, rng=self._rng, mask=mask)

    def _ranks(self) -> Arrays:
        """Return ranks with which pruning yields the masks of the trained tickets."""
        ranks = {}
        for name, dense in self._weights[0].items():
            tickets = [self._weights[P][name] != 0 for P in TICKETS]
            ranks[name] = np.sum(tickets, axis=0, dtype=np.float32) + np.abs(dense).clip(0, 0.9)
        return ranks

    def _made_up(self) -> dict[int, Arrays]:
        dense = network_arrays(self._generator)
        weights = {0: dense}
        for P, shares in TICKETS.items():
            least = (
                np.quantile(abs(a), 1 - s) for a, s in zip(dense.values(), shares, strict=True)
            )
            weights[P] = {
                n: np.where(abs(a) >= t, a, 0)
                for (n, a), t in zip(dense.items(), least, strict=True)
            }
        return weights

    def _named(self, flat: NDArray[np.float32]) -> Arrays:
        arrays, start = {}, 0
        for name, array in network_arrays(self._generator).items():
            arrays[name] = flat[start : start + array.size].reshape(array.shape)
            start += array.size
        return arrays


class _Process:
    """One way to compute, in a separate process."""

    def __init__(self, checkout: Path, way: str, critic_iterations: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(critic_iterations), way],
            env={**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, part: str, prunings: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{part} {prunings}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ConfigError("a process that measures has ended: its error is above")
        return float(answer)

    def end(self) -> None:
        self._process.communicate()


def measure_tickets(
    *,
    repeats: int,
    critic_iterations: Mapping[str, int],
    before: Path | None = None,
    rows: Mapping[str, Sequence[int]] = ROWS,
) -> list[dict[str, object]]:
    """Return one row per part, number of prunings, and way that this build is compared with.

    ``before`` is a checkout of another version, which is also compared.
    """
    here = Path(__file__).parents[2]
    if before and not (before / "flwr_gan").is_dir():
        raise ConfigError(f"--before={before} is no checkout: give a folder that holds flwr_gan")
    found = []
    for part, numbers in rows.items():
        ways = {"now": (here, "as_it_is"), "dense": (here, "dense")}
        if before:
            ways["before"] = (before.resolve(), "as_it_is")
        R = critic_iterations[part]
        processes = {way: _Process(*how, R) for way, how in ways.items()}
        try:
            for P in numbers:
                found += _compared(processes, part, P, R, repeats)
        finally:
            for process in processes.values():
                process.end()
    return found


def _compared(
    processes: Mapping[str, _Process], part: str, P: int, R: int, repeats: int
) -> list[dict[str, object]]:
    from experiments.benchmarks.output import in_turn, ratios

    ways = {way: partial(process.seconds, part, P) for way, process in processes.items()}
    seconds = in_turn(ways, repeats)
    return [
        {
            "part": part,
            "prunings": P,
            "critic_iterations": R,
            "against": way,
            "against_ms": 1000 * median(seconds[way]),
            "now_ms": 1000 * median(seconds["now"]),
            **ratios(seconds, way, "now"),
            "repeats": repeats,
        }
        for way in ways
        if way != "now"
    ]


def main() -> None:
    """Answer the input lines; arguments: R, and ``dense`` or ``as_it_is``."""
    torch.set_num_threads(1)
    if sys.argv[2] == "dense":
        from flwr_gan.gan import sparse_layers

        for name in ("", "_LINEAR", "_NARROW"):
            setattr(sparse_layers, f"LARGEST_DENSITY{name}", -1.0)
    tickets = Tickets(critic_iterations=int(sys.argv[1]))
    for line in sys.stdin:
        part, prunings = line.split()
        print(tickets.seconds(part, int(prunings)), flush=True)


if __name__ == "__main__":
    main()
