"""Test of the virtual clock: rounds over slowed links, measured and predicted.

Each node is a SuperNode in its own network namespace, whose link is slowed down by ``tc``; a relay
adds the latency. Local training is a fixed pause. The time of a round without its links (Flower's
polls every three seconds, a new process for each message) is measured on the fastest link, as the
median over its rows, and used for the other links.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import mean, median

import pandas as pd

from experiments.deployment.command import measuring_command
from experiments.deployment.machines import Machines
from experiments.deployment.namespaces import namespace, why_not
from experiments.deployment.relay import relay
from flwr_gan.engine.clock import FlowerCost, Traffic, predicted_round_s
from flwr_gan.engine.links import Client
from flwr_gan.errors import TrainingError

APP = Path(__file__).with_name("pausing")
LINKS = ((1.0, 0.0), (10.0, 0.0), (10.0, 40.0), (100.0, 0.0))  # Mbit/s; one-way latency in ms
MODELS = {"main job's generator": 28_416, "classifier": 1_200_000}
CODECS = ("raw", "sparse:int8")
NODES, ROUNDS, PAUSE_S = 2, 3, 10.0


def measure(
    folder: Path, mbit_s: float, latency_ms: float, models: Sequence[str]
) -> list[dict[str, object]]:
    """Return the rows of all models and codecs for one kind of link."""
    rows: list[dict[str, object]] = []
    with (
        ExitStack() as links,
        Machines(folder, tls=False, authentication=False, host="0.0.0.0") as machines,
    ):
        for at in range(NODES):
            here, prefix = links.enter_context(namespace(f"n{at}", at, mbit_s=mbit_s))
            port = machines.port
            if latency_ms:
                own = relay("127.0.0.1", port, latency_ms=latency_ms, own=here)
                port = links.enter_context(own).port
            place = f"{here}:{port}"
            machines.start_node(f"node{at}", f"partition-id={at}", address=place, prefix=prefix)
        for model in models:
            for codec in CODECS:
                results = folder / f"{MODELS[model]}_{codec.replace(':', '_')}"
                config: dict[str, str | float] = {
                    "results": str(results),
                    "codec": codec,
                    "rounds": ROUNDS,
                    "weights": MODELS[model],
                    "pause": PAUSE_S,
                }
                run_id = machines.submit(APP, config)
                if machines.wait(run_id, timeout_s=1500) != "finished:completed":
                    raise TrainingError(f"the run failed: see {folder}/superlink/log")
                link = {"mbit_s": mbit_s, "latency_ms": latency_ms}
                rows.append(link | {"model": model, "codec": codec} | _of(results))
                print(f"  {rows[-1]}", flush=True)
    return rows


def _of(results: Path) -> dict[str, object]:
    """Return seconds and bytes of the rounds after the first, which starts the app on the nodes."""
    rounds, messages = (pd.read_csv(results / f"{name}.csv") for name in ("rounds", "messages"))
    seconds = rounds.loc[rounds["round"] > 1, "seconds"]
    messages = messages[messages["round"] > 1]
    size = messages.groupby("direction")["message_bytes"].mean()
    return {
        "down_bytes": round(size["down"]),
        "up_bytes": round(size["up"]),
        "measured_s": mean(seconds),
        "lowest_s": min(seconds),
        "highest_s": max(seconds),
    }


def predicted(row: pd.Series, cost: FlowerCost) -> float:
    """Return the clock's prediction for a row's rounds."""
    speed, latency_ms = row["mbit_s"], row["latency_ms"]
    client = Client(down_mbit_s=speed, up_mbit_s=speed, latency_ms=latency_ms)
    traffic = Traffic(0, int(row["down_bytes"]), int(row["up_bytes"]), PAUSE_S)
    return predicted_round_s([client], [traffic], cost)


def tables(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table: one row per speed, model and codec."""
    if (reason := why_not()) is not None:
        raise TrainingError(f"not measured: {reason}")
    rows = []
    for speed, latency_ms in LINKS[1:] if options.short else LINKS:
        print(f"{NODES} nodes at {speed:g} Mbit/s, {latency_ms:g} ms", flush=True)
        models = list(MODELS)[: 1 if options.short else None]
        folder = options.work / f"{speed:g}_{latency_ms:g}"
        rows += measure(folder, speed, latency_ms, models)
    table = pd.DataFrame(rows)
    fastest = table["mbit_s"] == table["mbit_s"].max()
    waits = [
        row["measured_s"] - predicted(row, FlowerCost()) for _, row in table[fastest].iterrows()
    ]
    cost = FlowerCost(waiting_s=median(waits))
    table["predicted_s"] = [predicted(row, cost) for _, row in table.iterrows()]
    table["error_%"] = 100 * (table["predicted_s"] / table["measured_s"] - 1)
    table["waiting_s"] = cost.waiting_s
    yield "round_times", table


if __name__ == "__main__":
    short = {"action": "store_true", "help": "the small model, without 1 Mbit/s"}
    sys.exit(measuring_command("round_times", __doc__, tables, own={"--short": short}))
