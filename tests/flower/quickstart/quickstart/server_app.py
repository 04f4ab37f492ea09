"""The server."""

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from flwr_gan.flower import CompressedGrid
from quickstart.task import Net

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run federated averaging."""
    torch.manual_seed(0)
    if context.run_config["codec"]:  # without a codec the app is plain Flower
        grid = CompressedGrid(grid, codec=context.run_config["codec"])
    global_model = Net()
    arrays = ArrayRecord(global_model.state_dict())
    strategy = FedAvg(fraction_evaluate=context.run_config["fraction-evaluate"])
    result = strategy.start(
        grid=grid,
        initial_arrays=arrays,
        train_config=ConfigRecord({"lr": context.run_config["learning-rate"]}),
        num_rounds=context.run_config["num-server-rounds"],
    )
    print("final accuracy:", result.evaluate_metrics_clientapp)
    if isinstance(grid, CompressedGrid):
        sent = sum(row.message_bytes for row in grid.ledger.rows)
        plain = sum(row.dense_bytes for row in grid.ledger.rows)
        print(f"{sent:,} bytes in messages; the arrays have {plain:,}")
