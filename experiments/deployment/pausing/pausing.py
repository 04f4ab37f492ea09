"""Clients that pause instead of training and add noise, and the times of the rounds."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from flwr_gan.flower import CompressedGrid, compression_mod

client = ClientApp(mods=[compression_mod])
server = ServerApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Pause, and return the weights with a little noise."""
    (w,) = message.content.array_records["arrays"].to_numpy_ndarrays()
    rng = np.random.default_rng([int(str(context.node_config["partition-id"])), int(w.sum() * 1e6)])
    time.sleep(float(context.run_config["pause"]))
    moved = w + rng.normal(0, 0.02, w.shape).astype(np.float32)
    metrics = MetricRecord({"num-examples": 1})
    return Message(
        RecordDict({"arrays": ArrayRecord([moved]), "metrics": metrics}), reply_to=message
    )


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Average the weights in each round, and write the end time of each round."""
    config, folder = context.run_config, Path(str(context.run_config["results"]))
    compressed = CompressedGrid(grid, codec=str(config["codec"]))
    shape = int(config["weights"]) // 16, 16
    w = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
    rows = []
    for server_round in range(1, int(config["rounds"]) + 1):
        begun = time.time()
        content = RecordDict({"arrays": ArrayRecord([w])})
        messages = [
            Message(content, node, "train", group_id=str(server_round))
            for node in compressed.get_node_ids()
        ]
        ids = list(compressed.push_messages(messages))
        found: list[Message] = []
        while len(found) < len(messages):  # polls more often than send_and_receive
            found += [reply for reply in compressed.pull_messages(ids) if reply.has_content()]
            time.sleep(0.1)
        replies = [r.content.array_records["arrays"].to_numpy_ndarrays()[0] for r in found]
        w = np.mean(replies, axis=0)
        rows.append({"round": server_round, "seconds": time.time() - begun})
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(folder / "rounds.csv", index=False)
    compressed.ledger.to_frame().to_csv(folder / "messages.csv", index=False)
