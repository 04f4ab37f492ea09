"""Two engines under one call: `inline` runs the clients in this process, `ray` in Flower's own."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from flwr_gan.engine.inline_grid import InlineGrid, RunTogether, one_by_one
from flwr_gan.engine.ray_cluster import ray_cluster, ray_settings
from flwr_gan.errors import ConfigError
from flwr_gan.flower.flwr_private import Run, node_ids_in_order

BACKENDS = ("inline", "ray")
_LARGEST_KEPT = 31 << 20
RunConfig = Mapping[str, bool | float | int | str]


class ConfiguredClientApp(ClientApp):
    """A client app that finds the run config in its context, which Flower's runner leaves empty."""

    def __init__(self, app: ClientApp, run_config: RunConfig) -> None:
        super().__init__()
        self._app = app
        self._run_config = dict(run_config)

    def __call__(self, message: Message, context: Context) -> Message:
        """Execute the app."""
        configured = _with_run_config(context, self._run_config)
        reply = self._app(message, configured)
        context.state = configured.state  # which the app may have replaced
        return reply


class ConfiguredServerApp(ServerApp):
    """A server app that finds the run config in its context."""

    def __init__(self, app: ServerApp, run_config: RunConfig) -> None:
        super().__init__()
        self._app = app
        self._run_config = dict(run_config)
        self.failure: Exception | None = None

    def __call__(self, grid: Grid, context: Context) -> None:
        """Execute the app, and keep what it raises."""
        try:
            self._app(grid, _with_run_config(context, self._run_config))
        except Exception as error:
            self.failure = error
            raise


def _with_run_config(context: Context, run_config: RunConfig) -> Context:
    """Return a context around the same state; Flower refuses changes to the one it made."""
    return Context(
        run_id=context.run_id,
        node_id=context.node_id,
        node_config=context.node_config,
        state=context.state,
        run_config=dict(run_config),
    )


def run_apps(
    server_app: ServerApp,
    client_app: ClientApp,
    *,
    num_supernodes: int,
    run_config: RunConfig,
    backend: str = "inline",
    backend_config: dict[str, Any] | None = None,
    verbose: bool = False,
    on_reply: Callable[[Message, Message], None] | None = None,
    clients_at_once: int = 1,
    run_together: RunTogether = one_by_one,
) -> None:
    """Run a Flower app to its end.

    Parameters
    ----------
    server_app, client_app
        The two halves of the app.
    num_supernodes : int
        Number of virtual clients.
    run_config : mapping
        Flower's run config: scalars by name.
    backend : {"inline", "ray"}
        Where the clients run.
    backend_config : dict, optional
        Settings of Flower's Ray backend: resources of a client, address of a cluster; see
        ``flwr_gan.engine.ray_cluster``.
    verbose : bool
        Show Ray's and Flower's debug messages.
    on_reply : callable, optional
        Called with each message and its reply (`inline` only).
    clients_at_once : int
        Clients that train in one program (`inline` only), if ``run_together`` lets them.
    run_together : callable, optional
        Runs so many clients side by side; see ``InlineGrid``.

    Raises
    ------
    ConfigError
        When the backend is unknown, its extra is not installed, Ray does not start with these
        settings or has no room for a client, or a setting is not for this backend.
    """
    if backend == "inline":
        if backend_config:
            raise ConfigError("--backend-config has no meaning with --backend inline: drop it")
        keep_freed_memory()
        run = Run.create_empty(run_id=1)
        grid = InlineGrid(
            client_app,
            num_supernodes=num_supernodes,
            run_config=run_config,
            run=run,
            on_reply=on_reply,
            clients_at_once=clients_at_once,
            run_together=run_together,
        )
        server_app(grid, _server_context(run, run_config))
    elif backend == "ray":
        if clients_at_once > 1:
            raise ConfigError(
                f"federation.clients_at_once={clients_at_once} is for --backend inline, and "
                "--backend ray has processes for its clients: drop one of them"
            )
        _run_ray(server_app, client_app, num_supernodes, run_config, backend_config, verbose)
    else:
        raise ConfigError(f"backend={backend}: allowed are {', '.join(BACKENDS)}")


def keep_freed_memory() -> None:
    """Let this process keep memory that it has freed, for the arrays of the next message.

    glibc hands freed blocks back to the system from a size on, and fetching them again takes
    longer than filling them; that size is the largest of those that it has seen freed, up to
    32 MiB. Other allocators do not mind. The block here is never written to, so it costs nothing.
    """
    np.empty(_LARGEST_KEPT, np.uint8)


def _server_context(run: Run, run_config: RunConfig) -> Context:
    return Context(
        run_id=run.run_id,
        node_id=0,
        node_config={},
        state=RecordDict(),
        run_config=dict(run_config),
    )


def _run_ray(
    server_app: ServerApp,
    client_app: ClientApp,
    num_supernodes: int,
    run_config: RunConfig,
    backend_config: dict[str, Any] | None,
    verbose: bool,
) -> None:
    settings = ray_settings(backend_config)
    from flwr.simulation import run_simulation

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    server = ConfiguredServerApp(server_app, run_config)
    with ray_cluster(settings, verbose=verbose), node_ids_in_order():
        try:
            run_simulation(
                server,
                ConfiguredClientApp(client_app, run_config),
                num_supernodes,
                backend_name="ray",
                backend_config=settings,
                verbose_logging=verbose,
            )
        except Exception:
            if server.failure is not None:
                raise server.failure from None
            raise
