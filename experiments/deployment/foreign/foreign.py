"""An independent Flower app: softmax regression on digits; two lines add the wire."""

from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray

from flwr_gan.flower import CompressedGrid, compression_mod
from flwr_gan.wire.ledger import CHECKSUM_COLUMNS

client = ClientApp(mods=[compression_mod])
server = ServerApp()


def samples(partition: int, partitions: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return every n-th digit, 64 pixels from 0 to 1, and the labels."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images[partition::partitions] / 16, labels[partition::partitions]


def probabilities(x: NDArray[np.float64], w: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability of each class for each sample."""
    exponents = np.exp(x @ w - (x @ w).max(axis=1, keepdims=True))
    found: NDArray[np.float64] = exponents / exponents.sum(axis=1, keepdims=True)
    return found


@client.train()
def train(message: Message, context: Context) -> Message:
    """Take twenty steps of gradient descent on this node's digits."""
    own = context.node_config
    x, y = samples(int(str(own["partition-id"])), int(str(own["num-partitions"])))
    (w,) = message.content.array_records["arrays"].to_numpy_ndarrays()
    for _ in range(20):
        w = (w - 0.5 * x.T @ (probabilities(x, w) - np.eye(10)[y]) / len(x)).astype(np.float32)
    accuracy = float(np.mean(probabilities(x, w).argmax(axis=1) == y))
    metrics = MetricRecord({"num-examples": len(x), "accuracy": accuracy})
    return Message(RecordDict({"arrays": ArrayRecord([w]), "metrics": metrics}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run FedAvg over the compressed grid, and write weights and checksums."""
    config, folder = context.run_config, Path(str(context.run_config["results"]))
    compressed = CompressedGrid(grid, codec=str(config["codec"]))
    strategy = FedAvg(fraction_evaluate=0.0)
    start = ArrayRecord([np.zeros((64, 10), np.float32)])
    result = strategy.start(compressed, start, num_rounds=int(config["rounds"]))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "weights.npy", result.arrays.to_numpy_ndarrays()[0])
    for name, columns in (("messages", ()), ("payloads", (CHECKSUM_COLUMNS,))):
        compressed.ledger.to_frame(*columns).to_csv(folder / f"{name}.csv", index=False)
