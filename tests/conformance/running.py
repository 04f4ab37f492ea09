"""Run a row of the matrix once: on plain Flower, or behind the wire with a codec."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from flwr_gan.engine import run_apps
from tests.conformance.apps import (
    App,
    legacy_client_app,
    legacy_server_app,
    message_client_app,
    message_server_app,
)
from tests.conformance.loops import Next, loop_server_app
from tests.conformance.model import CLIENTS, Model
from tests.conformance.observed import observed
from tests.conformance.strategies import Api, Recipe, make_strategy
from tests.conformance.torch_model import one_thread
from tests.conformance.witness import Witness


@dataclass(frozen=True)
class Loop:
    """Rounds without a strategy: what follows from replies, and what messages ask for."""

    follow: Next
    message_type: str


@dataclass(frozen=True)
class Row:
    """An app of the matrix.

    Parameters
    ----------
    label : str
        What the table calls it.
    api : {"legacy", "messages"}
        The API of both halves.
    kind : type or Loop
        The strategy's class, or rounds that are written by hand.
    model : callable
        Makes the model, anew for each run.
    model_label : str
        What the table calls the model.
    recipe : Recipe
        How the strategy is made.
    rounds, clients : int
        Of the federation.
    fast : bool
        Whether it runs in the fast tests.
    needs : str
        A library without which it cannot run.
    """

    label: str
    api: Api
    kind: type | Loop
    model: Callable[[], Model]
    model_label: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    rounds: int = 4
    clients: int = CLIENTS
    fast: bool = False
    needs: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.api, self.label, self.model_label)))


@dataclass(frozen=True)
class Run:
    """What a run showed, and the error that ended it, if one did."""

    witness: Witness
    error: Exception | None = None


def run(row: Row, codec: str | None) -> Run:
    """Run a row to its end.

    Parameters
    ----------
    row : Row
        What runs.
    codec : str or None
        The wire's codec; None runs plain Flower.
    """
    witness, model, made = Witness(), row.model(), row.recipe
    app = App(model, made.mods, made.client_wrapper, made.failing)
    halves = _server(row, app, witness, codec), _client(row, app, witness, codec)
    gc.freeze()  # flwr collects garbage for each array, which else looks through all of torch
    try:
        with one_thread():
            run_apps(*halves, num_supernodes=row.clients, run_config={})
    except Exception as raised:
        return Run(witness, raised)
    finally:
        gc.unfreeze()
    return Run(witness)


def _server(row: Row, app: App, witness: Witness, codec: str | None) -> ServerApp:
    settings: dict[str, Any] = {"codec": codec, "rounds": row.rounds}
    if isinstance(row.kind, Loop):
        follow, message_type = row.kind.follow, row.kind.message_type
        return loop_server_app(app.model, follow, witness, message_type=message_type, **settings)
    strategy = make_strategy(observed(row.kind, witness), row.recipe, app.model, row.clients)
    if row.api == "legacy":
        return legacy_server_app(strategy, **settings)
    return message_server_app(strategy, app, **settings)


def _client(row: Row, app: App, witness: Witness, codec: str | None) -> ClientApp:
    make = legacy_client_app if row.api == "legacy" else message_client_app
    return make(app, codec=codec, watch=witness.mod)
