"""A grid whose clients run in processes of this machine, side by side."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from flwr.clientapp import ClientApp

from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.worker_pool import WorkerPool

R = TypeVar("R")


class ProcessesGrid(InlineGrid):
    """Deliver messages to worker processes; replies, states and errors are those of ``InlineGrid``.

    Messages to different nodes that are pushed together, or by different threads, are delivered
    side by side, to so many clients at once as there are ``workers``.
    """

    def __init__(self, client_app: ClientApp, *, workers: int, **settings: Any) -> None:
        super().__init__(
            client_app, run_together=lambda jobs, at_once: self.run_jobs(jobs), **settings
        )
        self._client_app = self.pool = WorkerPool(client_app, workers=workers)
        self._turn = nullcontext()
        self._largest_group = settings["num_supernodes"]

    def run_jobs(self, jobs: Sequence[Callable[[], R]]) -> list[R]:
        """Call jobs side by side; return what they return, in their order."""
        return self.pool.run_jobs(jobs)

    def close(self) -> None:
        """End the workers and forget the states of all nodes."""
        self.pool.close()
        super().close()
