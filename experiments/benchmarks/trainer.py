"""Critic steps per second: a plain PyTorch loop against the trainer, and many clients at once.

``python -m experiments.benchmarks.trainer [--short] [--output FILE]`` trains on one core, with the
batch size and the critic iterations of each setting. The paths take turns, so that a change of the
machine's speed affects all equally; one row per path has the median over repeats. A step is one
update of one critic, with its share of the generator's work.

``plain`` is the usual loop: new fakes for each critic step, modules, double backpropagation,
``torch.optim.Adam`` with defaults. ``autograd`` and ``closed_form`` are the trainer with this
``gan.critic_gradients``; their ratio is to ``plain``. With several clients, ``together`` is
``train_together`` and its ratio is to ``one_after_another``, both in closed form.

A second table, ``trainer_tickets.csv``, has the paper's networks after P prunings: a generator
iteration with its critic steps, 4,096 samples, and the search for a ticket. ``dense`` is this build
without sparse products; ``--before FOLDER`` compares with another checkout in the same run. Limits:
an iteration by the critic's products, which are not sparse; samples by the first layer, which is
dense at P = 10, and by memory; a search by its first levels, which are dense.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from experiments.benchmarks.output import in_turn, ratios, run_benchmark
from experiments.benchmarks.trainer_tickets import measure_tickets, networks, samples
from flwr_gan.app.config import load_config
from flwr_gan.gan import GanConfig, WganGpTrainer, torch_threads
from flwr_gan.gan.batched import Training, train_together
from flwr_gan.gan.losses import generator_loss, gradient_penalty, wasserstein_estimate

SETTINGS = {
    "paper": ("gan=paper",),
    "paper_157k": ("gan=paper", "gan.channels=[128,64]"),  # number of its generator's parameters
    "small": ("gan=small",),
}
SHORT = ("paper_157k", "small")
TICKETS: dict[str, Any] = {
    "repeats": 7,
    "critic_iterations": {"iteration": 64, "sampling": 1, "search": 16},
}
SHORT_TICKETS: dict[str, Any] = {
    "repeats": 3,
    "critic_iterations": {"iteration": 16, "sampling": 1, "search": 2},
}
CLIENTS = (8, 32)
CLIENT_PATHS = ("one_after_another", "together")


def measure(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table of steps, and that of tickets."""
    if not options.tickets:
        with torch_threads(1):
            yield "", measure_all(short=options.short)
    settings = SHORT_TICKETS if options.short else TICKETS
    yield "_tickets", pd.DataFrame(measure_tickets(before=options.before, **settings))


def measure_all(*, short: bool) -> pd.DataFrame:
    """Return the rows of all settings, and of many clients with the small networks."""
    repeats = 3 if short else 15
    rows = []
    for name in SHORT if short else SETTINGS:
        config = load_config(SETTINGS[name]).gan
        rows += [{"gan": name} | row for row in measure_paths(config, repeats=repeats)]
    config = load_config(SETTINGS["small"]).gan
    for count in CLIENTS:
        measured = measure_clients(config, count=count, repeats=repeats)
        rows += [{"gan": "small"} | row for row in measured]
    return pd.DataFrame(rows)


def measure_paths(
    config: GanConfig, *, repeats: int, least_s: float = 1.0
) -> list[dict[str, object]]:
    """Return one row per path; the fastest path trains for about ``least_s`` seconds per turn."""
    paths: dict[str, _Plain | _Clients] = {
        "plain": _Plain(config),
        "closed_form": _Clients(replace(config, critic_gradients="closed_form"), 1),
        "autograd": _Clients(replace(config, critic_gradients="autograd"), 1),
    }
    return _rows(paths, config, clients=1, repeats=repeats, least_s=least_s)


def measure_clients(
    config: GanConfig, *, count: int, repeats: int, least_s: float = 1.0
) -> list[dict[str, object]]:
    """Return one row for clients one after another, and one row for all together."""
    paths = {name: _Clients(config, count, together=name == "together") for name in CLIENT_PATHS}
    return _rows(paths, config, clients=count, repeats=repeats, least_s=least_s)


def _rows(
    paths: Mapping[str, "_Plain | _Clients"],
    config: GanConfig,
    *,
    clients: int,
    repeats: int,
    least_s: float,
) -> list[dict[str, object]]:
    """Measure the paths in turn; the first one is the reference."""
    iterations = max(1, round(least_s / min(path.seconds(1) for path in paths.values())))
    ways = {name: partial(path.seconds, iterations) for name, path in paths.items()}
    seconds = in_turn(ways, repeats, warm_up=False)
    steps = clients * iterations * config.critic_iterations
    return [
        {
            "clients": clients,
            "batch_size": config.batch_size,
            "critic_iterations": config.critic_iterations,
            "path": name,
            "steps_per_s": steps / median(seconds[name]),
            **ratios(seconds, next(iter(paths)), name),
            "repeats": repeats,
        }
        for name in paths
    ]


class _Clients:
    """The project's trainer, for one client, or several clients together or one after another."""

    def __init__(self, config: GanConfig, count: int, *, together: bool = False) -> None:
        self._together = together
        x_NTC, y_N = samples()
        share = max(1, len(y_N) // count)
        self._trainings = [
            Training(
                trainer=WganGpTrainer(*networks(config), config=config),
                x_NTC=x_NTC[i * share : (i + 1) * share],
                y_N=y_N[i * share : (i + 1) * share],
                rng=torch.Generator().manual_seed(i),
            )
            for i in range(count)
        ]
        self.seconds(1)

    def seconds(self, iterations: int) -> float:
        """Train on and return how long it took."""
        started = time.perf_counter()
        if self._together:
            train_together(self._trainings, iterations=iterations)
        else:
            for each in self._trainings:
                each.train_alone(iterations=iterations)
        return time.perf_counter() - started


class _Plain:
    """Alg. 1 of the paper, implemented literally."""

    def __init__(self, config: GanConfig) -> None:
        self._config = config
        self._generator, self._critic = networks(config)
        self._x_NTC, self._y_N = (torch.from_numpy(array) for array in samples())
        self._generator_adam = torch.optim.Adam(
            self._generator.parameters(), lr=config.generator_lr, betas=config.betas
        )
        self._critic_adam = torch.optim.Adam(
            self._critic.parameters(), lr=config.critic_lr, betas=config.betas
        )
        torch.manual_seed(0)
        self.seconds(1)

    def seconds(self, iterations: int) -> float:
        """Train on and return how long it took."""
        started = time.perf_counter()
        config = self._config
        for _ in range(iterations):
            for step in range(config.critic_iterations):
                if step == 0 or config.fresh_batch:
                    index_B = torch.randint(len(self._y_N), (config.batch_size,))
                    real_BTC, y_B = self._x_NTC[index_B], self._y_N[index_B]
                with torch.no_grad():
                    fake_BTC = self._generate(y_B)
                critics = (self._critic, real_BTC, fake_BTC, y_B)
                slope = gradient_penalty(*critics, torch.rand(config.batch_size))
                loss = config.penalty * slope - wasserstein_estimate(*critics)
                self._critic_adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                self._critic_adam.step()
            loss = generator_loss(self._critic, self._generate(y_B), y_B)
            self._generator_adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._generator_adam.step()
        return time.perf_counter() - started

    def _generate(self, y_B: Tensor) -> Tensor:
        z_BL = torch.randn(len(y_B), self._generator.latent_dim)
        x_BTC: Tensor = self._generator(z_BL, y_B)
        return x_BTC


main = partial(
    run_benchmark, "trainer", __doc__, measure, short="fewer settings and repeats",
    own={
        "--before": {
            "type": Path, "metavar": "FOLDER", "help": "checkout to compare tickets with as well",
        },
        "--tickets": {"action": "store_true", "help": "only the second table"},
    },
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
