"""Bytes between nodes and SuperLink, counted on the socket and compared with the ledger."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from flwr.app import ConfigRecord, RecordDict

from experiments.deployment.command import measuring_command
from experiments.deployment.machines import ROOT, Machines
from flwr_gan.app.nodes import SETTINGS
from flwr_gan.errors import TrainingError
from flwr_gan.flower.transport import message_bytes

NODES, ROUNDS = 3, 2
JOB = (
    "strategy=fedavg gan.local_iterations=2 evaluation=none "
    f"federation.rounds={ROUNDS} federation.num_clients={NODES}"
)
HEARTBEAT = "send-node-heartbeat"
START = ("register-node", "activate-node", "get-run", "get-fab")


@dataclass
class Measured:
    """A run on real nodes: traffic by kind of request, the ledger, and the settings sent."""

    counts: Counter[tuple[str, str]]  # as of a relay
    ledger: pd.DataFrame
    config: str
    seconds: float


def measure(folder: Path, codec: str, *, tls: bool) -> Measured:
    """Run the job on real nodes behind relays."""
    with Machines(folder, tls=tls, authentication=tls) as machines:
        relays = machines.start_nodes(NODES)
        begun = time.monotonic()
        run = folder / "run"
        overrides = f"{JOB} codec={codec} output_dir={run}"
        run_id = machines.submit(ROOT, {"overrides": overrides})
        for line in machines.lines(run_id):
            if line.startswith("round "):
                print(f"  {line}", flush=True)
        if (status := machines.status(run_id)) != "finished:completed":
            raise TrainingError(f"the run ended as {status}: see {folder}/superlink/log")
    counts = sum((one.counts for one in relays), Counter[tuple[str, str]]())
    config = (run / "config.yaml").read_text()
    ledger = pd.read_csv(run / "messages.csv")
    return Measured(counts, ledger, config, time.monotonic() - begun)


def explained(run: Measured) -> pd.DataFrame:
    """Return the bytes by purpose, one row per purpose and direction.

    The ledger's bytes are payloads and the other contents of messages; the question asks for a
    node's identity and sends the settings. The rest of the objects' bodies is Flower's envelope.
    """
    question = message_bytes(RecordDict({SETTINGS: ConfigRecord({"config": run.config.encode()})}))
    counts, rows = run.counts, []
    kinds = {kind for kind, _ in counts}
    polls = counts["pull-messages", "requests"]
    idle = (polls - NODES * (ROUNDS + 1)) / polls  # the other polls have found a message
    for way, moves in (("up", "push-object"), ("down", "pull-object")):
        own = run.ledger[run.ledger["direction"] == way]
        content, payloads = (int(own[f"{of}_bytes"].sum()) for of in ("message", "payload"))
        asked = NODES * question if way == "down" else 0
        head, body = (
            {kind: counts[kind, f"{way}_{part}"] for kind in kinds} for part in ("head", "body")
        )
        start = sum(head[kind] + body[kind] for kind in START)
        beats = head[HEARTBEAT] + body[HEARTBEAT]
        idle_polls = int(idle * head["pull-messages"])
        others = sum(body[kind] for kind in kinds if kind not in (moves, HEARTBEAT, *START))
        heads = sum(head[kind] for kind in kinds if kind not in (HEARTBEAT, *START)) - idle_polls
        parts = {
            "payloads, in the ledger": payloads,
            "rest of the messages, in the ledger": content - payloads,
            "question to each node and settings": asked,
            "envelopes and ids of objects": body[moves] - content - asked,
            "lists of objects, confirmations": others,
            "HTTP heads of the requests for messages": heads,
            "idle polls": idle_polls,
            "heartbeats": beats,
            "start of node and run, with the app bundle": start,
        }
        rows += [{"direction": way, "purpose": what, "bytes": size} for what, size in parts.items()]
    return pd.DataFrame(rows)


def tables(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the total bytes of each run, and the bytes by purpose for runs without TLS."""
    totals, parts = [], []
    for tls in (False, True):
        for codec in ("raw", "sparse:int8"):
            name = f"{codec.replace(':', '_')}_{'tls' if tls else 'plain'}"
            print(f"{NODES} nodes, {ROUNDS} rounds, {codec}, {'TLS' if tls else 'no TLS'}")
            run = measure(options.work / name, codec, tls=tls)
            totals.append(_total(run, codec, tls=tls))
            if not tls:
                parts.append(explained(run).assign(codec=codec))
    yield "socket_bytes", pd.DataFrame(totals)
    by_codec = pd.concat(parts).pivot(
        index=["direction", "purpose"], columns="codec", values="bytes"
    )
    yield "socket_parts", by_codec.reset_index()


def _total(run: Measured, codec: str, *, tls: bool) -> dict[str, object]:
    row: dict[str, object] = {"codec": codec, "tls": tls}
    for way in ("up", "down"):
        own = run.ledger[run.ledger["direction"] == way]
        row |= {
            f"{of}_{way}": int(own[f"{of}_bytes"].sum()) for of in ("dense", "payload", "message")
        }
        row[f"socket_{way}"] = _sum(run, way)
    return row | {"requests": _sum(run, "requests"), "s": round(run.seconds)}


def _sum(run: Measured, what: str) -> int:
    return sum(size for (_, name), size in run.counts.items() if name.startswith(what))


if __name__ == "__main__":
    sys.exit(measuring_command("socket_bytes", __doc__, tables))
