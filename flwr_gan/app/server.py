"""The server loop: Flower's own rounds, with a result row and a checkpoint after each."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from flwr.common import Parameters, Scalar
from flwr.server.client_manager import SimpleClientManager
from flwr.server.history import History
from flwr.server.server import FitResultsAndFailures, Server
from flwr.serverapp import Grid
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flwr_gan.app.turns import run_in_turns
from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.processes_grid import ProcessesGrid
from flwr_gan.engine.quick_flower import ask_clients
from flwr_gan.errors import ConfigError
from flwr_gan.flower import CompressedStrategy
from flwr_gan.flower.flwr_private import GridClientProxy

R = TypeVar("R")
PATIENCE_S = 60.0


class RoundServer(Server):
    """Run the rounds of a legacy strategy from a given one on, and report each when it is over.

    Parameters
    ----------
    strategy : CompressedStrategy
        The wrapped strategy.
    num_clients : int
        How many nodes take part in the run.
    first_round : int
        1, or the round after the last finished one.
    parameters : Parameters or None
        Global parameters to resume from.
    on_round : callable
        ``on_round(server_round, parameters, metrics, seconds)`` after each round returns what is
        still to be done about it. `metrics` are what the clients' evaluation gave, empty when they
        did not evaluate.
    may_run_ahead : bool
        What is still to be done may be done while the next round runs. It is where clients train
        in other processes.
    """

    def __init__(
        self,
        *,
        strategy: CompressedStrategy,
        num_clients: int,
        first_round: int,
        parameters: Parameters | None,
        on_round: Callable[[int, Parameters, dict[str, Any], float], Callable[[], None]],
        may_run_ahead: bool = False,
    ) -> None:
        super().__init__(client_manager=SimpleClientManager(), strategy=strategy)
        self._num_clients = num_clients
        self._first_round = first_round
        self._resumed = parameters
        self._on_round = on_round
        self._may_run_ahead = may_run_ahead

    def fit(self, num_rounds: int, timeout: float | None) -> tuple[History, float]:
        """Run the rounds that are left."""
        history = History()
        started = time.perf_counter()
        self._await_clients()
        if self._resumed is None:
            self.parameters = self._get_initial_parameters(server_round=0, timeout=timeout)
        else:
            self.parameters = self._resumed
        with _Behind() as behind:
            self._run_rounds(num_rounds, timeout, behind)
        return history, time.perf_counter() - started

    def _run_rounds(self, num_rounds: int, timeout: float | None, behind: "_Behind") -> None:
        for server_round in range(self._first_round, num_rounds + 1):
            begun = time.perf_counter()
            outcome = self.fit_round(server_round=server_round, timeout=timeout)
            if outcome is not None:
                parameters, _, _ = outcome
                if parameters is not None:
                    self.parameters = parameters
            evaluated = self.evaluate_round(server_round=server_round, timeout=timeout)
            metrics = {} if evaluated is None else evaluated[1]
            behind.wait()
            seconds = time.perf_counter() - begun
            finish = self._on_round(server_round, self.parameters, metrics, seconds)
            if server_round < num_rounds and self._may_run_ahead and self._train_elsewhere:
                behind.start(finish)
            else:
                finish()

    @property
    def _train_elsewhere(self) -> bool:
        """True if clients train in other processes, so that this one has time."""
        grid = self._grid()
        return grid is not None and (
            isinstance(grid, ProcessesGrid) or not isinstance(grid, InlineGrid)
        )

    def _grid(self) -> Grid | None:
        proxies = self._client_manager.all().values()
        return next((p.grid for p in proxies if isinstance(p, GridClientProxy)), None)

    def fit_round(
        self, server_round: int, timeout: float | None
    ) -> tuple[Parameters | None, dict[str, Scalar], FitResultsAndFailures] | None:
        """Let clients train: in groups where the inline engine takes several at once.

        Flower's own round asks each client in a thread of its own, and which of them come together
        would be left to chance.
        """
        grid = self._grid()
        if not isinstance(grid, InlineGrid) or grid.clients_at_once == 1:
            return super().fit_round(server_round, timeout)
        instructions = self.strategy.configure_fit(
            server_round, self.parameters, self._client_manager
        )
        if not instructions:
            return None
        instructions.sort(key=lambda instruction: int(instruction[0].cid))
        size, deliver = grid.clients_at_once, grid.deliver

        def in_groups(jobs: Sequence[Callable[[], R]]) -> list[R]:
            groups = (jobs[at : at + size] for at in range(0, len(jobs), size))
            return [found for group in groups for found in run_in_turns(group, serve=deliver)]

        results, failures = ask_clients("fit", in_groups, instructions, None, timeout, server_round)
        parameters, metrics = self.strategy.aggregate_fit(server_round, results, failures)
        return parameters, metrics, (results, failures)

    def _await_clients(self) -> None:
        """Wait until as many nodes are connected as the config names.

        Raises
        ------
        ConfigError
            When there are too many, or after a minute still too few.
        """
        deadline = time.perf_counter() + PATIENCE_S
        while (found := self._client_manager.num_available()) < self._num_clients:
            if time.perf_counter() > deadline:
                break
            time.sleep(0.1)
        if found != self._num_clients:
            raise ConfigError(
                f"{found} nodes are connected and federation.num_clients={self._num_clients}: "
                "make both the same (num-supernodes under flwr run, --num-supernodes otherwise)"
            )


class _Behind:
    """Does one job at a time in a thread; what it raises is raised by whoever waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="flwr_gan round")
        self._job: Future[None] | None = None

    def __enter__(self) -> "_Behind":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def start(self, job: Callable[[], None]) -> None:
        """Begin a job; the one before must have been waited for.

        It has one thread, for more would wait for cores that the clients have, and spin meanwhile.
        """

        def alone() -> None:
            with threadpool_limits(1):
                job()

        self._job = self._pool.submit(alone)

    def wait(self) -> None:
        """Wait for the job that is running, if one is."""
        if self._job is not None:
            job, self._job = self._job, None
            job.result()
