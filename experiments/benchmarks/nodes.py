"""Memory of many simulated nodes, in the process that runs server and clients inline.

Each row is measured in a separate process: FedAvg of 50,000 weights, 100 nodes in each of 30
rounds. The states of nodes (residuals, the last broadcast) go to disk above 100 MB, the server's
state of each node with EF21 above 256 MB.
"""

import argparse
import json
import logging
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from experiments.benchmarks.output import row_of_process, run_benchmark
from flwr_gan.engine import run_apps
from flwr_gan.flower import CompressedGrid, compression_mod

WEIGHTS, ROUNDS, SAMPLED = 50_000, 30, 100
STATE_MEMORY_MB = 100
WAYS: dict[str, dict[str, Any] | None] = {
    "plain Flower": None,
    "sparse:int8": {"codec": "sparse:int8"},
    "topk:0.01+int4, feedback": {"codec": "topk:0.01+int4"},
    "topk:0.01+int4, EF21": {"codec": "topk:0.01+int4", "feedback": "ef21"},
}


def measure(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table: one row per way and number of nodes."""
    rows = []
    for nodes in (10, 100) if options.short else (100, 1_000, 10_000):
        for way in WAYS:
            arguments = ("-m", "experiments.benchmarks.nodes", "--one", way, str(nodes))
            rows.append(row_of_process(f"{way}, {nodes} nodes", *arguments))
            print(rows[-1], flush=True)
    yield "", pd.DataFrame(rows)


def one(way: str, nodes: int) -> dict[str, Any]:
    """Return the row of a way, measured in this process."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    settings = WAYS[way]
    client, server = ClientApp(mods=[compression_mod] if settings else []), ServerApp()

    @client.train()
    def train(message: Message, context: Context) -> Message:
        (w,) = message.content.array_records["arrays"].to_numpy_ndarrays()
        rng = np.random.default_rng(context.node_id)
        moved = w + rng.normal(0, 0.01, w.shape).astype(np.float32)
        metrics = MetricRecord({"num-examples": 1})
        return Message(
            RecordDict({"arrays": ArrayRecord([moved]), "metrics": metrics}), reply_to=message
        )

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        used = CompressedGrid(grid, **settings) if settings else grid
        strategy = FedAvg(fraction_train=min(1.0, SAMPLED / nodes), fraction_evaluate=0.0)
        strategy.start(used, ArrayRecord([np.zeros(WEIGHTS, np.float32)]), num_rounds=ROUNDS)

    before, started = _peak_mb(), time.perf_counter()
    run_apps(
        server,
        client,
        num_supernodes=nodes,
        run_config={},
        backend_config={"state_memory_mb": STATE_MEMORY_MB},
    )
    seconds = time.perf_counter() - started
    return {
        "way": way,
        "nodes": nodes,
        "more_peak_mb": round(_peak_mb() - before, 1),
        "updates_per_s": round(ROUNDS * min(nodes, SAMPLED) / seconds, 1),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(sys.argv[2], int(sys.argv[3]))))
        sys.exit()
    sys.exit(run_benchmark("nodes", __doc__, measure, short="10 and 100 nodes"))
