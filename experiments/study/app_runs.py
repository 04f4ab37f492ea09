"""Runs of the app inside this process: whole, resumed, and under plain Flower."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from flwr.app import Message
from flwr.clientapp import ClientApp
from flwr.server import ServerAppComponents, ServerConfig
from flwr.server.strategy import Strategy
from flwr.serverapp import ServerApp

from flwr_gan.app.config import load_config
from flwr_gan.app.federation import Federation, federation_from, load_federation
from flwr_gan.app.overrides import split_overrides
from flwr_gan.app.strategy import build_strategy, num_rounds
from flwr_gan.client_app import app as client_app
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import OutputError
from flwr_gan.flower.records import message_bytes
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import engine_settings, prepare_run_config

# Settings of output and monitoring, which leave the results as they are.
_PLACES = ("output_dir", "resume", "also_codecs", "logger")


def train(
    overrides: Sequence[str],
    *,
    clients: ClientApp = client_app,
    on_reply: Callable[[Message, Message], None] | None = None,
) -> None:
    """Run the app once, as ``flower-simulation`` does with the inline engine.

    ``clients`` replaces the app's clients; ``on_reply`` is called with each message and its reply.
    """
    run_config, num_clients = prepare_run_config(" ".join(overrides), None)
    run_apps(
        server_app,
        clients,
        num_supernodes=num_clients,
        run_config=run_config,
        on_reply=on_reply,
        **engine_settings(run_config),
    )


def settings_of(overrides: Sequence[str]) -> dict[str, Any]:
    """Return all settings of a run that its results depend on."""
    settings: dict[str, Any] = yaml.safe_load(load_config(overrides).to_yaml())
    return {key: value for key, value in settings.items() if key not in _PLACES}


def is_finished(folder: Path) -> bool:
    """Return whether a run has finished: it writes its summary last."""
    return (folder / "summary.json").exists()


def is_begun(folder: Path) -> bool:
    """Return whether a run has written to a folder."""
    return (folder / "config.yaml").exists()


def finish_run(overrides: Sequence[str], folder: Path) -> Path:
    """Finish the run in a folder, resuming it if it was interrupted; return the folder."""
    if not is_finished(folder):
        begun = is_begun(folder)
        train([f"resume={folder}"] if begun else [*overrides, f"output_dir={folder}"])
    if not is_finished(folder):
        raise OutputError(f"the run ended without {folder / 'summary.json'}: remove the folder")
    return folder


def uploads(folder: Path) -> pd.DataFrame:
    """Return the rows of ``messages.csv`` for the replies of clients that trained."""
    messages = pd.read_csv(folder / "messages.csv")
    rows: pd.DataFrame = messages[(messages["direction"] == "up") & (messages["kind"] == "train")]
    return rows


def run_plain(
    overrides: str,
    *,
    on_reply: Callable[[Message, Message], None],
    prepare: Callable[[Federation, Strategy], None] = lambda federation, strategy: None,
) -> None:
    """Run the app under plain Flower: no mod, no wrapper.

    ``prepare`` is called before the run, ``on_reply`` with each message and its reply.
    """
    federation = load_federation(overrides)
    strategy = build_strategy(federation)
    prepare(federation, strategy)

    def server_fn(context: object) -> ServerAppComponents:
        rounds = num_rounds(federation.config, strategy)
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    run_apps(
        ServerApp(server_fn=server_fn),
        ClientApp(lambda context: federation_from(context).client(context).to_client()),
        num_supernodes=federation.config.federation.num_clients,
        run_config={"overrides": " ".join(split_overrides(overrides))},
        on_reply=on_reply,
    )


def plain_bytes(overrides: str) -> pd.DataFrame:
    """Return the bytes of each round in plain Flower's transport: columns round and bytes."""
    sent: dict[int, int] = {}

    def weigh(message: Message, reply: Message) -> None:
        server_round = int(message.metadata.group_id)
        size = message_bytes(message.content) + message_bytes(reply.content)
        sent[server_round] = sent.get(server_round, 0) + size

    run_plain(overrides, on_reply=weigh)
    return pd.DataFrame({"round": list(sent), "bytes": list(sent.values())})
