"""Three engines under one call.

`inline` runs the clients in this process, `processes` in processes of this machine, and `ray` in
Flower's own simulation.
"""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from logging import getLogger
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from flwr_gan.core.heap import keep_freed_memory
from flwr_gan.core.settings import Amount, Count, checked, require_keys, require_one_of
from flwr_gan.engine.inline_grid import STATE_MEMORY_MB, InlineGrid, RunTogether, one_by_one
from flwr_gan.engine.processes_grid import ProcessesGrid
from flwr_gan.engine.quick_flower import quick_flower
from flwr_gan.engine.ray_cluster import OPTION, ray_cluster, ray_settings
from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.flower.bookkeeping import Outcome, current_outcome
from flwr_gan.flower.flwr_private import Run, node_ids_in_order, take_task_identity

log = getLogger(__name__)

BACKENDS = ("inline", "processes", "ray")
WORKERS_PER_CORE = 3  # more than cores, so that uneven clients keep all cores busy
RunConfig = Mapping[str, bool | float | int | str]


class ConfiguredClientApp(ClientApp):
    """A client app with the run config in its context, which Flower's runner leaves empty."""

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
        """Execute the app, and keep its error."""
        take_task_identity(context.run_id)  # as Flower does before a legacy server
        try:
            self._app(grid, _with_run_config(context, self._run_config))
        except Exception as error:
            self.failure = error
            raise


class WatchedServerApp(ServerApp):
    """Run a server app, and check that a reply was accepted if it trained over the wire."""

    def __init__(self, app: ServerApp) -> None:
        super().__init__()
        self._app = app

    def __call__(self, grid: Grid, context: Context) -> None:
        """Execute the app.

        Raises ``TrainingError`` when clients were asked to train over the wire and no reply was
        ever accepted.
        """
        outcome = Outcome()
        token = current_outcome.set(outcome)
        try:
            self._app(grid, context)
        finally:
            current_outcome.reset(token)
        if outcome.refusal is not None:
            raise TrainingError(f"no reply of a client was ever accepted: {outcome.refusal}")


def _with_run_config(context: Context, run_config: RunConfig) -> Context:
    """Return a context with the same state; Flower refuses changes to its own context."""
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
    in_one_process: str | None = None,
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
    backend : {"inline", "processes", "ray", "auto"}
        Where the clients run; ``auto`` is `processes` with at least two cores and two clients,
        unless a setting keeps the clients in this process, and otherwise `inline`.
    backend_config : dict, optional
        `inline` and `processes`: ``state_memory_mb``, the maximum megabytes of all clients'
        ``context.state`` in memory, 1024 by default; the rest is kept on disk. `processes`:
        ``workers``, the number of clients at once. `ray`: see ``flwr_gan.engine.ray_cluster``.
    verbose : bool
        Show Ray's and Flower's debug messages.
    on_reply : callable, optional
        Called with each message and its reply (not with `ray`).
    clients_at_once : int
        Clients that train in one program (`inline` only), if ``run_together`` lets them.
    run_together : callable, optional
        Runs these clients together; see ``InlineGrid``.
    in_one_process : str, optional
        Setting that keeps the clients in this process, such as ``"federation.threads=2"``.

    Raises
    ------
    ConfigError
        When the backend is unknown, its extra is not installed, Ray does not start with these
        settings or has no room for a client, or a setting is not for this backend.
    """
    if backend == "auto":
        backend = _chosen_backend(num_supernodes, in_one_process)
    require_one_of("backend", backend, ("auto", *BACKENDS))
    if clients_at_once > 1 and backend != "inline":
        raise ConfigError(
            f"federation.clients_at_once={clients_at_once} is for --backend inline, and "
            f"--backend {backend} has processes for its clients: drop one of them"
        )
    if backend == "ray":
        _run_ray(server_app, client_app, num_supernodes, run_config, backend_config, verbose)
        return
    if backend == "processes" and in_one_process is not None:
        raise ConfigError(
            f"{in_one_process} is not for --backend processes, whose workers have one thread each: "
            "drop one of them, or take another backend"
        )
    keep_freed_memory()
    run = Run.create_empty(run_id=1)
    settings: dict[str, Any] = {
        "num_supernodes": num_supernodes,
        "run_config": run_config,
        "run": run,
        "on_reply": on_reply,
        **_local_settings(backend, backend_config or {}, num_supernodes),
    }
    grid: InlineGrid
    with quick_flower(lambda jobs: grid.run_jobs(jobs)):  # workers inherit the replacements
        grid = (
            ProcessesGrid(client_app, **settings)
            if backend == "processes"
            else InlineGrid(
                client_app, clients_at_once=clients_at_once, run_together=run_together, **settings
            )
        )
        with closing(grid):
            context = Context(run.run_id, 0, {}, state=RecordDict(), run_config=dict(run_config))
            server_app(grid, context)


def _chosen_backend(num_supernodes: int, in_one_process: str | None) -> str:
    """Return the backend for ``auto`` on this machine, and log it."""
    reason = in_one_process
    if reason is None and sys.platform != "linux":
        reason = "processes needs Linux"
    if reason is None and min(cores(), num_supernodes) == 1:
        reason = f"cores: {cores()}, clients: {num_supernodes}"
    if reason is None:
        log.info("backend: processes, on %d cores", cores())
        return "processes"
    log.info("backend: inline (%s)", reason)
    return "inline"


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _local_settings(
    backend: str, given: Mapping[str, Any], num_supernodes: int
) -> dict[str, float | int]:
    """Return the settings of ``--backend-config`` for `inline` or `processes`, checked."""
    default: dict[str, float | int] = {"state_memory_mb": STATE_MEMORY_MB}
    if backend == "processes":
        default["workers"] = min(num_supernodes, WORKERS_PER_CORE * cores())
    require_keys(f"{OPTION} of --backend {backend}: ", given, default)
    for key, value in given.items():
        checked(f"{OPTION}: {key}", value, Count if key == "workers" else Amount)
    return default | dict(given)


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
