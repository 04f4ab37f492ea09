"""Lying clients: replies that the wire refuses, and the effect of the others on strategies.

Ten clients train a softmax regression on digits, inline; one or two of them lie in each round.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import (
    DifferentialPrivacyServerSideFixedClipping,
    FedAvg,
    FedMedian,
    FedTrimmedAvg,
    Krum,
    MultiKrum,
    Strategy,
)
from numpy.typing import NDArray

from experiments.benchmarks.output import write_measured
from experiments.deployment.command import RESULTS
from experiments.deployment.foreign import foreign
from experiments.deployment.foreign.foreign import probabilities
from experiments.study.options import called
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import CompressedMessageStrategy, compression_mod
from flwr_gan.flower.packing import packed, unpacked
from flwr_gan.flower.records import copy_content, payload_of, payload_record
from flwr_gan.wire import encode_payload

CLIENTS, ROUNDS, STEPS = 10, 5, 20
PARTS = CLIENTS + 2  # the last two are the test set
LIMIT = 2**20  # max_reply_bytes
CLIP = 1.0

samples = cache(foreign.samples)  # pixels (N, 64) and labels (N,) of a client

Weights = NDArray[np.float32]
Payloads = list[tuple[int, bytes]]  # of honest clients, with their rounds

ON_ARRAYS: dict[str, Callable[[Weights], Weights]] = {
    "all NaN": lambda w: np.full_like(w, np.nan),
    "times 1e6": lambda w: np.float32(1e6) * w,
    "other shape": lambda w: w[:-1],
}


@cache
def bomb() -> bytes:
    """Return a small payload that decodes to 64 MiB of zeros."""
    return encode_payload({"0": np.zeros(2**24, np.float32)}, codec="zlib")


# From the honest payload, those heard so far and the round: random bytes of the same length, a
# bomb, another client's payload of this round, and one of the round before.
ON_WIRE: dict[str, Callable[[bytes, Payloads, int], bytes]] = {
    "garbage": lambda own, heard, now: np.random.default_rng(now).bytes(len(own)),
    "bomb": lambda own, heard, now: bomb(),
    "replay of this round": lambda own, heard, now: next(p for at, p in heard if at == now),
    "replay of the last round": lambda own, heard, now: next(
        (payload for at, payload in heard if at == now - 1), own
    ),
}
LIES = ("none", *ON_WIRE, *ON_ARRAYS)
PASSING = ("none", "replay of this round", "all NaN", "times 1e6")  # not refused by the wire


def strategies(liars: int) -> dict[str, Strategy]:
    """Return Flower's strategies, set to this number of liars and to all clients."""
    ask: Any = {"fraction_evaluate": 0.0, "min_available_nodes": CLIENTS}
    many: Any = {"num_nodes_to_select": CLIENTS - liars, **ask}
    clipped = DifferentialPrivacyServerSideFixedClipping(
        FedAvg(**ask), noise_multiplier=0.0, clipping_norm=CLIP, num_sampled_clients=CLIENTS
    )
    return {
        "FedAvg": FedAvg(**ask),
        "Krum": Krum(num_malicious_nodes=liars, **ask),
        "MultiKrum": MultiKrum(num_malicious_nodes=liars, **many),
        "FedTrimmedAvg": FedTrimmedAvg(beta=0.2, **ask),
        "FedMedian": FedMedian(**ask),
        f"FedAvg, updates clipped to {CLIP:g}": clipped,
    }


class Liars:
    """Two mods of the clients, of which the last few lie: one outside and one inside the wire."""

    def __init__(self, lie: str, count: int) -> None:
        self._lie, self._first = lie, CLIENTS - count
        self._heard: Payloads = []

    def on_the_wire(
        self, message: Message, context: Context, call_next: Callable[..., Message]
    ) -> Message:
        """Change the payload of a liar, and record the payloads of the others."""
        server_round = int(str(unpacked(copy_content(message.content))["config"]["server-round"]))
        reply = call_next(message, context)
        content = unpacked(reply.content)
        payload = payload_of(content.array_records["arrays"])
        if not self._lies(context):
            self._heard.append((server_round, payload))
        elif self._lie in ON_WIRE:
            false = ON_WIRE[self._lie](payload, self._heard, server_round)
            content.array_records["arrays"] = payload_record(false)
            reply.content = packed(content)
        return reply

    def on_arrays(
        self, message: Message, context: Context, call_next: Callable[..., Message]
    ) -> Message:
        """Change the arrays of a liar before coding."""
        reply = call_next(message, context)
        if self._lies(context) and self._lie in ON_ARRAYS:
            (w,) = reply.content.array_records["arrays"].to_numpy_ndarrays()
            reply.content["arrays"] = ArrayRecord([ON_ARRAYS[self._lie](w)])
        return reply

    def _lies(self, context: Context) -> bool:
        return int(str(context.node_config["partition-id"])) >= self._first


def train(message: Message, context: Context) -> Message:
    """Take steps of gradient descent on this client's digits."""
    x, y = samples(int(str(context.node_config["partition-id"])), PARTS)
    (w,) = message.content.array_records["arrays"].to_numpy_ndarrays()
    for _ in range(STEPS):
        w = (w - 0.5 * x.T @ (probabilities(x, w) - np.eye(10)[y]) / len(x)).astype(np.float32)
    metrics = MetricRecord({"num-examples": len(x)})
    return Message(RecordDict({"arrays": ArrayRecord([w]), "metrics": metrics}), reply_to=message)


def accuracy(w: Weights) -> float:
    """Return the test accuracy, 0 if the weights are not finite."""
    if not np.isfinite(w).all():
        return 0.0
    pairs = [samples(part, PARTS) for part in range(CLIENTS, PARTS)]
    right = [probabilities(x, w).argmax(axis=1) == y for x, y in pairs]
    return float(np.concatenate(right).mean())


def measured(name: str, lie: str, liars: int) -> dict[str, object]:
    """Run one federation; return its final accuracy and its refused replies."""
    strategy = CompressedMessageStrategy(
        strategies(liars)[name], codec="sparse", max_reply_bytes=LIMIT
    )
    mods = Liars(lie, 0 if lie == "none" else liars)
    client_app = ClientApp(mods=[mods.on_the_wire, compression_mod, mods.on_arrays])
    client_app.train()(train)
    server_app, stopped = ServerApp(), ""
    finals: list[Weights] = []

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        send = grid.send_and_receive

        def in_order(messages: list[Message], **settings: float | None) -> object:
            return send(sorted(messages, key=lambda m: m.metadata.dst_node_id), **settings)

        vars(grid)["send_and_receive"] = in_order  # in the order of partitions, for replays
        start = ArrayRecord([np.zeros((64, 10), np.float32)])
        result = strategy.start(grid, start, num_rounds=ROUNDS)
        finals.extend(result.arrays.to_numpy_ndarrays())

    try:
        run_apps(server_app, client_app, num_supernodes=CLIENTS, run_config={})
    except Exception as error:
        stopped = f"{type(error).__name__}: {error}"
    failures = [reason for reasons in strategy.failures.values() for reason in reasons]
    return {
        "lie": lie,
        "liars": liars,
        "strategy": name,
        "refused": len(failures),
        "reason": failures[0] if failures else "",
        "accuracy": accuracy(finals[-1]) if finals else 0.0,
        "stopped": stopped,
    }


def page(table: pd.DataFrame) -> str:
    """Return both tables of ``docs/deploy.md``: refused replies, and final accuracies."""
    fedavg = table[(table["strategy"] == "FedAvg") & (table["liars"] == 1)]
    lines = ["| lie | refused in five rounds | the reason that the server gives |", "|---|---|---|"]
    for row in fedavg.fillna("").itertuples():
        lines.append(f"| {row.lie} | {row.refused} | {row.reason} |")
    names = list(strategies(1))
    lines += ["", "| lie | liars | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for (lie, liars), of_lie in table.groupby(["lie", "liars"], sort=False):
        if len(of_lie) == len(names):
            cells = " | ".join(f"{value:.3f}" for value in of_lie["accuracy"])
            lines.append(f"| {lie} | {0 if lie == 'none' else liars} | {cells} |")
    return "\n".join(lines)


def _cases(lie: str) -> list[tuple[str, int]]:
    """Return the strategies and numbers of liars to measure; refused replies reach no strategy."""
    if lie not in PASSING:
        return [("FedAvg", 1)]
    liars = (1,) if lie == "none" else (1, 2)
    return [(name, count) for count in liars for name in strategies(1)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.deployment.lies", description=__doc__
    )
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument("--lies", nargs="+", default=list(LIES), choices=LIES)
    options = parser.parse_args(arguments)
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    with np.errstate(all="ignore"):
        rows = [measured(name, lie, liars) for lie in options.lies for name, liars in _cases(lie)]
    table = pd.DataFrame(rows)
    command = called("python -m experiments.deployment.lies", arguments)
    write_measured(table, options.output / "lies.csv", command=command)
    print(table.drop(columns="reason").to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
