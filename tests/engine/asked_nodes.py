"""An app whose sampled nodes say who they are; run on Ray, what they said is printed as JSON.

A program of its own, because Ray leaves files open.
"""

import json
import random
import sys
import time
from typing import Any

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from flwr_gan.engine.run_apps import run_apps

NODES = 3


def who(message: Message, context: Context) -> Message:
    """Say which node this is and how often it was asked, and fail at the second time."""
    seen = context.state.config_records.setdefault("seen", ConfigRecord({"calls": 0}))
    seen["calls"] += 1
    found = {"node": context.node_id, "partition": context.node_config["partition-id"]} | dict(seen)
    if message.content["turn"]["turn"] == 1:
        raise ValueError("no data today")
    return Message(RecordDict({"out": ConfigRecord(found)}), reply_to=message)


def asked(backend: str) -> list[Any]:
    """Return what sampled nodes said in three turns, and who failed."""
    found: list[Any] = []
    server_app, client_app = ServerApp(), ClientApp()
    client_app.train()(who)

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        while len(list(grid.get_node_ids())) < NODES:
            time.sleep(0.01)  # they register after the server has started
        rng = random.Random(0)
        for turn in range(3):
            content = RecordDict({"turn": ConfigRecord({"turn": turn})})
            nodes = rng.sample(list(grid.get_node_ids()), 2)
            replies = grid.send_and_receive([Message(content, n, "train") for n in nodes])
            told = [
                (
                    reply.metadata.src_node_id,
                    None if reply.has_error() else dict(reply.content["out"]),
                )
                for reply in replies
            ]
            found.append(sorted(told, key=lambda pair: pair[0]))

    run_apps(server_app, client_app, num_supernodes=NODES, run_config={}, backend=backend)
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asked("ray")) + "\n")
