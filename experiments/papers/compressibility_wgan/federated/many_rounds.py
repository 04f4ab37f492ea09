"""Many rounds: what a global generator is worth against the bytes that have travelled so far."""

from pathlib import Path
from typing import Any

import pandas as pd
from flwr.app import Message
from flwr.clientapp import ClientApp
from flwr.server import ServerAppComponents, ServerConfig
from flwr.serverapp import ServerApp

from experiments.papers.compressibility_wgan.federated.app_runs import (
    federation_for,
    finish_run,
)
from experiments.papers.compressibility_wgan.federated.plan import (
    AVERAGE,
    CODECS,
    LOSSLESS,
    PLAIN,
    Plan,
    RoundsCell,
)
from flwr_gan.app.client import client_fn
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower.records import message_bytes
from flwr_gan.overrides import split_overrides
from flwr_gan.wiring import build_strategy, num_rounds

MEASURES = ("synthetic_accuracy", "conditional_accuracy", "frechet_distance")
COLUMNS = ("round", "bytes", "total_bytes", "sparsity", *MEASURES)
# Levels of quality, fixed before the runs; the distance has to fall to its levels.
LEVELS = {
    "synthetic_accuracy": (0.80, 0.85, 0.90, 0.93),
    "conditional_accuracy": (0.80, 0.90, 0.95),
    "frechet_distance": (20.0, 10.0, 5.0),
}


def run_cell(cell: RoundsCell, plan: Plan, folder: Path) -> dict[str, Any]:
    """Run a cell and return a row a round.

    Parameters
    ----------
    cell : RoundsCell
        Which.
    plan : Plan
        The settings that all cells share.
    folder : Path
        Where the run of the cell is kept.

    Returns
    -------
    dict
        ``rounds``: list of rows of ``many_rounds.csv``; those of plain Flower have bytes alone,
        which do not depend on the weights: their training is cut to one iteration a round.

    Raises
    ------
    FlwrGanError
        When the run fails.
    """
    overrides = settings_of(cell, plan)
    if cell.wire == PLAIN:
        rounds = plain_rounds(f"{overrides} gan.local_iterations=1 output_dir={folder / 'run'}")
    else:
        finish_run(overrides, folder / "run")
        rounds = pd.read_csv(folder / "run" / "rounds.csv")
        rounds["bytes"] = rounds.up_bytes + rounds.down_bytes
    rounds["total_bytes"] = rounds["bytes"].cumsum()
    rows = rounds[[key for key in COLUMNS if key in rounds]].to_dict("records")
    return {"rounds": rows}


def settings_of(cell: RoundsCell, plan: Plan) -> str:
    """Return the overrides of the app that make a cell."""
    settings = plan.rounds_settings[cell.data].split(" ")
    if cell.strategy == AVERAGE:
        settings = [item for item in settings if not item.startswith("strategy.")]
        settings += ["strategy=fedavg", f"federation.rounds={plan.rounds}"]
    settings.append(f"seed={cell.seed}")
    if cell.wire != PLAIN:
        settings.append(CODECS[cell.wire])
    return " ".join(settings)


def plain_rounds(overrides: str) -> pd.DataFrame:
    """Return the transport's bytes of each round under Flower alone: no mod, no wrapper."""
    federation = federation_for(overrides)
    strategy = build_strategy(federation)
    carried: dict[int, int] = {}

    def weigh(message: Message, reply: Message) -> None:
        server_round = int(message.metadata.group_id)
        size = message_bytes(message.content) + message_bytes(reply.content)
        carried[server_round] = carried.get(server_round, 0) + size

    def server_fn(context: object) -> ServerAppComponents:
        rounds = num_rounds(federation.config, strategy)
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    run_apps(
        ServerApp(server_fn=server_fn),
        ClientApp(lambda context: client_fn(context).to_client()),
        num_supernodes=federation.config.federation.num_clients,
        run_config={"overrides": " ".join(split_overrides(overrides))},
        on_reply=weigh,
    )
    return pd.DataFrame({"round": list(carried), "bytes": list(carried.values()), "sparsity": 0.0})


def with_quality_of_plain(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return the rounds with the quality of plain Flower filled in from the lossless wire.

    Both train the same generator, bit for bit, where the replies are added in the same order.
    """
    keys = ["data", "seed", "round"]
    lossless = rounds[(rounds.strategy == AVERAGE) & (rounds.wire == LOSSLESS)]
    known = lossless.set_index(keys)[list(MEASURES)]
    plain = rounds.wire == PLAIN
    places = pd.MultiIndex.from_frame(rounds.loc[plain, keys])
    rounds = rounds.copy()
    rounds.loc[plain, list(MEASURES)] = known.reindex(places).to_numpy()
    return rounds


def bytes_to_quality(rounds: pd.DataFrame) -> pd.DataFrame:
    """Return the bytes after which each run reaches each level for the first time.

    Parameters
    ----------
    rounds : pandas.DataFrame
        The rows of ``many_rounds.csv``.

    Returns
    -------
    pandas.DataFrame
        A row a run and level; ``total_bytes`` and ``round`` are missing where it is not reached.
    """
    rows = []
    for key, run in rounds.groupby(["data", "strategy", "wire", "seed"], sort=False):
        run = run.sort_values("round")
        for measure, levels in LEVELS.items():
            falls = measure == "frechet_distance"
            for level in levels:
                reached = run[run[measure] <= level] if falls else run[run[measure] >= level]
                first = reached.iloc[0] if len(reached) else None
                rows.append(
                    dict(zip(("data", "strategy", "wire", "seed"), key, strict=True))
                    | {
                        "measure": measure,
                        "level": level,
                        "round": None if first is None else int(first["round"]),
                        "total_bytes": None if first is None else int(first["total_bytes"]),
                    }
                )
    table = pd.DataFrame(rows)
    table[["round", "total_bytes"]] = table[["round", "total_bytes"]].astype("Int64")
    return table
