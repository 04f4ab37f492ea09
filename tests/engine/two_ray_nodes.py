"""Two Ray nodes with a core each on this machine, and a simulation that joins them by address.

Prints what became of it as one line of JSON. A program of its own, because Ray leaves files open,
and because its nodes end with it, however that happens.
"""

import json
import sys
import time

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from ray.cluster_utils import Cluster

from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError

CLIENTS = 4


def where(message: Message, context: Context) -> Message:
    """Say on which node of Ray this runs, and stay for a moment so that others go elsewhere."""
    import ray

    time.sleep(0.2)
    found = {"node": ray.get_runtime_context().get_node_id()}
    return Message(RecordDict({"ray": ConfigRecord(found)}), reply_to=message)


def simulate(address: str, *, cores: int) -> list[str]:
    """Return the Ray nodes on which clients that take so many cores were run."""
    found: list[str] = []
    server_app, client_app = ServerApp(), ClientApp()
    client_app.train()(where)

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        while len(nodes := list(grid.get_node_ids())) < CLIENTS:
            time.sleep(0.01)  # they register after the server has started
        replies = grid.send_and_receive([Message(RecordDict(), node, "train") for node in nodes])
        found.extend(str(reply.content["ray"]["node"]) for reply in replies)

    settings = {"init_args": {"address": address}, "client_resources": {"num_cpus": cores}}
    run_apps(
        server_app,
        client_app,
        num_supernodes=CLIENTS,
        run_config={},
        backend="ray",
        backend_config=settings,
    )
    return found


if __name__ == "__main__":
    settings = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=settings)  # on a free port
    try:
        cluster.add_node(**settings)
        cluster.wait_for_nodes()
        found = simulate(cluster.address, cores=1)
        try:
            simulate(cluster.address, cores=2)
            refused = ""
        except ConfigError as error:
            refused = str(error)
    finally:
        cluster.shutdown()
    sys.stdout.write(json.dumps({"nodes": found, "refused": refused}) + "\n")
