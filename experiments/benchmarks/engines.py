"""Which engine starts sooner and carries more: this process, or Flower's Ray.

``python -m experiments.benchmarks.engines`` runs the quickstart and empty client updates on both,
in turn, and writes ``experiments/benchmarks/results/engines.csv``. It chose the default of
``--backend``.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from flwr_gan.flower.engine import BACKENDS, run_apps

RESULTS = Path(__file__).parent / "results" / "engines.csv"
client_app = ClientApp()


@client_app.train()
def _empty_update(message: Message, context: object) -> Message:
    return Message(RecordDict({"done": ConfigRecord({"ok": True})}), reply_to=message)


def empty_updates(backend: str, *, clients: int, sampled: int, rounds: int) -> dict[str, float]:
    """Return seconds to the first reply and updates a second after it."""
    times: list[float] = []
    server_app = ServerApp()

    @server_app.main()
    def main(grid: object, context: object) -> None:
        while len(list(grid.get_node_ids())) < clients:  # type: ignore[attr-defined]
            time.sleep(0.01)  # Ray's nodes register after the server has started
        nodes = sorted(grid.get_node_ids())[:sampled]  # type: ignore[attr-defined]
        for _ in range(rounds + 1):
            orders = [Message(RecordDict(), node, "train") for node in nodes]
            replies = list(grid.send_and_receive(orders))  # type: ignore[attr-defined]
            assert len(replies) == sampled
            times.append(time.perf_counter())

    started = time.perf_counter()
    run_apps(server_app, client_app, num_supernodes=clients, run_config={}, backend=backend)
    return {
        "first_reply_s": times[0] - started,
        "updates_per_s": rounds * sampled / (times[-1] - times[0]),
    }


def quickstart(backend: str, settings: str) -> dict[str, float]:
    """Return the wall seconds of the whole command, imports included."""
    with tempfile.TemporaryDirectory() as folder:
        text = f"{settings} output_dir={folder}/run"
        command = [sys.executable, "-m", "flwr_gan.cli", "--app", "flwr_gan"]
        started = time.perf_counter()
        subprocess.run(
            [*command, "--backend", backend, "--run-config", text],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return {"quickstart_s": time.perf_counter() - started}


def main() -> None:
    """Measure both engines in turn and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=20, help="rounds of empty updates")
    parser.add_argument("--quickstart", default="", metavar="'K=V K=V'", help="its overrides")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    rows = []
    for repeat in range(options.repeats):
        for backend in BACKENDS:
            row: dict[str, object] = {"repeat": repeat, "backend": backend}
            row |= empty_updates(backend, clients=100, sampled=10, rounds=options.rounds)
            row |= quickstart(backend, options.quickstart)
            rows.append(row)
            print(row, flush=True)
    table = pd.DataFrame(rows)
    RESULTS.parent.mkdir(exist_ok=True)
    table.to_csv(RESULTS, index=False)
    median = table.drop(columns="repeat").groupby("backend").median()
    print(median.to_string(float_format="{:.2f}".format))
    ratio = median.loc["inline"] / median.loc["ray"]
    print("inline / ray: " + ", ".join(f"{name} {value:.2f}" for name, value in ratio.items()))


if __name__ == "__main__":
    main()
