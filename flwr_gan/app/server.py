"""What a round of the server needs: the clients of a grid, and how they are asked."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.serverapp import Grid
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flwr_gan.app.turns import run_in_turns
from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.processes_grid import ProcessesGrid
from flwr_gan.engine.quick_flower import ask_clients
from flwr_gan.errors import ConfigError
from flwr_gan.flower.flwr_private import GridClientProxy

R = TypeVar("R")
PATIENCE_S = 60.0


class GridClients(SimpleClientManager):
    """The nodes of a grid, which may come and go, as the clients of a legacy strategy."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def num_available(self) -> int:
        """Return how many nodes are connected."""
        return len(self.all())

    def all(self) -> dict[str, ClientProxy]:
        """Return the clients that are connected, by the ids of their nodes."""
        run_id = self.grid.run.run_id
        self.clients = {
            str(node): self.clients.get(str(node)) or GridClientProxy(node, self.grid, run_id)
            for node in self.grid.get_node_ids()
        }
        return self.clients

    def await_all(self, num_clients: int) -> None:
        """Wait until as many nodes are connected as the config names.

        Raises ``ConfigError`` when there are too many, or after a minute still too few.
        """
        deadline = time.perf_counter() + PATIENCE_S
        while (found := self.num_available()) < num_clients and time.perf_counter() < deadline:
            time.sleep(0.1)
        if found != num_clients:
            raise ConfigError(
                f"{found} nodes are connected and federation.num_clients={num_clients}: "
                "make both the same (num-supernodes under flwr run, --num-supernodes otherwise)"
            )

    def fit(self, instructions: list[Any], server_round: int) -> tuple[list[Any], list[Any]]:
        """Let clients train; return results and failures.

        Where the inline engine takes several at once, they come in groups by node.
        """
        grid = self.grid
        if not isinstance(grid, InlineGrid) or grid.clients_at_once == 1:
            return ask_clients("fit", self._run_jobs, instructions, None, None, server_round)
        size, deliver = grid.clients_at_once, grid.deliver

        def in_groups(jobs: Sequence[Callable[[], R]]) -> list[R]:
            groups = (jobs[at : at + size] for at in range(0, len(jobs), size))
            return [found for group in groups for found in run_in_turns(group, serve=deliver)]

        ordered = sorted(instructions, key=lambda instruction: int(instruction[0].cid))
        return ask_clients("fit", in_groups, ordered, None, None, server_round)

    def evaluate(self, instructions: list[Any], server_round: int) -> tuple[list[Any], list[Any]]:
        """Let clients evaluate; return results and failures."""
        return ask_clients("evaluate", self._run_jobs, instructions, None, None, server_round)

    @property
    def compute_elsewhere(self) -> bool:
        """True if clients run in other processes, so that this one has time."""
        return isinstance(self.grid, ProcessesGrid) or not isinstance(self.grid, InlineGrid)

    def _run_jobs(self, jobs: Sequence[Callable[[], R]]) -> list[R]:
        """Call jobs that each ask a client; return what they return, in their order."""
        if isinstance(self.grid, InlineGrid):
            return self.grid.run_jobs(jobs)
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda job: job(), jobs))


class Behind:
    """Does one job at a time in a thread; ``wait`` raises what the job raised."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="flwr_gan round")
        self._job: Future[None] | None = None

    def __enter__(self) -> "Behind":
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
