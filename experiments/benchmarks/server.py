"""The server's work per reply: Flower's FedAvg on dense arrays against the coded wire.

``python -m experiments.benchmarks.server [--short] [--output FILE]`` aggregates the replies of
1,000 clients that each move the survivors of one generator (363,136 weights, pruned 17 times by
20 %; from ``FLWR_GAN_WEIGHTS``, or else a random mask of that density). It writes one row per
strategy and codec: the median over repeats, measured in turn, with the ratio to Flower's FedAvg on
the dense arrays. The coded rows measure all of ``aggregate_fit``: header, check, decoding and
averaging; seconds are processor time. ``peak_models`` is the memory allocated beside the replies,
from a separate run, in models of 4 bytes per weight.

The second table is the wall time of a round of FedAvg with 20 clients that train 200 ms each,
1,000,000 weights, all in this process, with and without the wrapper (codec ``raw``).

The third table is the server's processor time for each of 4 clients with a network of ResNet-50's
shape, 25.6 million weights: coding and sending the broadcast, receiving the replies, aggregating.
numba's loops are loaded before all measurements.
"""

import argparse
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from flwr.client import NumPyClient
from flwr.clientapp import ClientApp
from flwr.common import FitRes, NDArrays, Scalar, ndarrays_to_parameters
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg, Strategy
from flwr.serverapp import ServerApp

from experiments.benchmarks.codec_measures import GENERATOR_WEIGHTS, layers_of
from experiments.benchmarks.output import in_turn, run_benchmark
from experiments.benchmarks.server_large import CLIENTS as LARGE_CLIENTS
from experiments.benchmarks.server_large import Nodes, Results, aggregated, large_table
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import CodedFitRes, CompressedStrategy, compression_mod
from flwr_gan.wire.codecs import compiled
from strategies import SparseFedAvg

SURVIVORS = 8179  # weights kept by the generator that is pruned 17 times
KINDS: dict[str, tuple[type[FedAvg], str | None]] = {
    "FedAvg, dense": (FedAvg, None),
    "FedAvg, sparse": (FedAvg, "sparse"),
    "FedAvg, sparse:int8": (FedAvg, "sparse:int8"),
    "SparseFedAvg, sparse": (SparseFedAvg, "sparse"),
    "SparseFedAvg, sparse:int8": (SparseFedAvg, "sparse:int8"),
}
BASELINE = "FedAvg, dense"
ROUND_CLIENTS, ROUND_WEIGHTS = 20, 1_000_000
# Clients, repeats, seconds of training, ratio of ResNet-50's weights to the measured ones.
SHORT, WHOLE = (50, 1, 0.02, 64), (1000, 7, 0.2, 1)


class PerturbingClient(NumPyClient):
    """Adds noise to the surviving weights."""

    def __init__(self, partition: int) -> None:
        self._rng = np.random.default_rng(partition)

    def fit(self, parameters: NDArrays, config: object) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Return the survivors with noise."""
        for array in parameters:
            kept = array != 0
            array[kept] += 0.01 * self._rng.standard_normal(int(kept.sum()), np.float32)
        return parameters, 10, {}


class SleepingClient(NumPyClient):
    """Sleeps instead of training."""

    def __init__(self, training_s: float) -> None:
        self._training_s = training_s

    def fit(self, parameters: NDArrays, config: object) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Return the received weights after a pause."""
        time.sleep(self._training_s)
        return parameters, 10, {}


@dataclass
class Replies:
    """The replies to one broadcast, and the strategy that waits for them."""

    strategy: Strategy
    results: Results

    def aggregate(self) -> float:
        """Aggregate all replies; return the processor seconds."""
        fresh = [(client, as_it_came(result)) for client, result in self.results]
        return aggregated(self.strategy, 1, fresh)[1]

    def peak_bytes(self) -> int:
        """Aggregate all replies; return the peak memory beside them in bytes."""
        tracemalloc.start()
        self.aggregate()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    @property
    def bytes_each(self) -> float:
        """Mean bytes of a reply's payload."""
        return statistics.mean(
            len(r.payload) if isinstance(r, CodedFitRes) else sum(map(len, r.parameters.tensors))
            for _, r in self.results
        )


def as_it_came(result: FitRes) -> FitRes:
    """Return a copy of a reply without values cached by earlier reads."""
    if isinstance(result, CodedFitRes) and result.received is not None:
        received = result.received
        coded = {name: replace(reply) for name, reply in received.replies.items()}
        return CodedFitRes.of(replace(received, row=replace(received.row), replies=coded))
    return FitRes(result.status, result.parameters, result.num_examples, dict(result.metrics))


def generator() -> NDArrays:
    """Return the arrays of the generator pruned 17 times: trained, or random at that density."""
    folder = os.environ.get("FLWR_GAN_WEIGHTS")
    path = Path(folder) / "generator_p17.npy" if folder else None
    if path is not None and path.is_file():
        flat = np.load(path)
    else:
        rng = np.random.default_rng(0)
        flat = np.zeros(GENERATOR_WEIGHTS, np.float32)
        flat[rng.choice(len(flat), SURVIVORS, replace=False)] = rng.standard_normal(SURVIVORS)
    return list(layers_of(flat).values())


def replies(kind: str, weights: NDArrays, *, clients: int) -> Replies:
    """Let clients move the weights; return their replies before aggregation."""
    cls, codec = KINDS[kind]
    strategy, nodes = _strategy(clients, codec, weights, cls), Nodes(PerturbingClient, clients)
    parameters = strategy.initialize_parameters(nodes.manager)
    assert parameters is not None
    return Replies(strategy, nodes.fit(strategy, parameters, 1))


def round_seconds(codec: str | None, *, training_s: float) -> float:
    """Return the wall seconds of a round whose clients train ``training_s`` seconds each."""
    weights = [np.random.default_rng(0).standard_normal(ROUND_WEIGHTS, np.float32)]
    strategy = _strategy(ROUND_CLIENTS, codec, weights)
    components = ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=1))
    server = ServerApp(server_fn=lambda context: components)
    # the mod does not change messages of a plain strategy
    client = ClientApp(
        lambda context: SleepingClient(training_s).to_client(), mods=[compression_mod]
    )
    started = time.perf_counter()
    run_apps(server, client, num_supernodes=ROUND_CLIENTS, run_config={})
    return time.perf_counter() - started


def _strategy(
    clients: int, codec: str | None, weights: NDArrays, cls: type[FedAvg] = FedAvg
) -> Strategy:
    inner = cls(
        fraction_evaluate=0.0,
        min_fit_clients=clients,
        min_available_clients=clients,
        initial_parameters=ndarrays_to_parameters(weights),
    )
    return inner if codec is None else CompressedStrategy(inner, codec=codec)


def aggregation_table(clients: int, repeats: int) -> pd.DataFrame:
    """Return one row per strategy and codec."""
    weights = generator()
    model_bytes = sum(array.nbytes for array in weights)
    made = {kind: replies(kind, weights, clients=clients) for kind in KINDS}
    seconds = in_turn({kind: own.aggregate for kind, own in made.items()}, repeats, warm_up=False)
    baseline = statistics.median(seconds[BASELINE])
    rows = []
    for kind, measured in seconds.items():
        took, peak = statistics.median(measured), made[kind].peak_bytes()
        rows.append(
            {
                "strategy": kind,
                "clients": clients,
                "reply_bytes": made[kind].bytes_each,
                "ms_a_client": 1e3 * took / clients,
                "ratio": took / baseline,
                "times_as_fast": baseline / took,
                "peak_mb": peak / 2**20,
                "peak_models": peak / model_bytes,
                "repeats": repeats,
            }
        )
    return pd.DataFrame(rows)


def round_table(repeats: int, *, training_s: float) -> pd.DataFrame:
    """Return one row without and one row with the wrapper."""
    ways = {"FedAvg": None, "CompressedStrategy(FedAvg), raw": "raw"}
    for codec in ways.values():
        round_seconds(codec, training_s=0.0)  # warm-up: imports, and memory that is kept
    timed = {
        name: partial(round_seconds, codec, training_s=training_s) for name, codec in ways.items()
    }
    seconds = in_turn(timed, repeats, warm_up=False)
    plain, *_ = map(statistics.median, seconds.values())
    return pd.DataFrame(
        {
            "strategy": strategy,
            "clients": ROUND_CLIENTS,
            "training_s": training_s,
            "round_s": statistics.median(measured),
            "overhead_percent": 100 * (statistics.median(measured) / plain - 1),
            "overhead_ms_a_client": 1e3 * (statistics.median(measured) - plain) / ROUND_CLIENTS,
            "repeats": repeats,
        }
        for strategy, measured in seconds.items()
    )


def measure(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tables of aggregation, of the large network and of rounds."""
    clients, repeats, training_s, scale = SHORT if options.short else WHOLE
    compiled.load()
    yield "", aggregation_table(clients, repeats)
    strategies = partial(_strategy, LARGE_CLIENTS)
    yield "_large", large_table(strategies, scale=scale, repeats=repeats)
    yield "_round", round_table(repeats, training_s=training_s)


main = partial(run_benchmark, "server", __doc__, measure, short=f"{SHORT[0]} replies, once")

if __name__ == "__main__":
    sys.exit(main())
