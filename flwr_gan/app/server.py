"""Parts of a server round: the clients of a grid, and the calls to them."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from logging import getLogger
from typing import Any, TypeVar

from flwr.server.client_manager import SimpleClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.serverapp import Grid
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flwr_gan.app.nodes import NO_SETTINGS, Roster, named
from flwr_gan.app.turns import run_in_turns
from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.processes_grid import ProcessesGrid
from flwr_gan.engine.quick_flower import ask_clients
from flwr_gan.errors import TrainingError
from flwr_gan.flower.flwr_private import GridClientProxy
from flwr_gan.flower.sampling import PARTITION, SAY_EVERY_S, wait_until

log = getLogger(__name__)

R = TypeVar("R")


class GridClients(SimpleClientManager):
    """The nodes of a grid, which may come and go, as the clients of a legacy strategy.

    With a `roster` they are its nodes, sampled in the order of their partitions. A round that takes
    longer than `timeout_s` continues without the clients that have not answered.
    """

    def __init__(
        self, grid: Grid, *, roster: Roster | None = None, timeout_s: float | None = None
    ) -> None:
        super().__init__()
        self.grid = grid
        self.roster = roster
        self.timeout_s = timeout_s

    def num_available(self) -> int:
        """Return the number of connected nodes."""
        return len(self.all())

    def all(self) -> dict[str, ClientProxy]:
        """Return the connected clients by node id."""
        run_id = self.grid.run.run_id
        members = {} if self.roster is None else self.roster.update()
        self.clients = {
            str(node): self.clients.get(str(node)) or GridClientProxy(node, self.grid, run_id)
            for node in (self.grid.get_node_ids() if self.roster is None else members)
        }
        for node, partition in members.items():
            self.clients[str(node)].properties[PARTITION] = partition
        return self.clients

    def await_clients(self, least: int, *, wait_s: float) -> None:
        """Wait until a number of clients are connected; log missing ones every half minute.

        Raises ``TrainingError`` after `wait_s` seconds.
        """

        def line(found: int) -> str:
            roster = self.roster
            who = f"{least} nodes" if roster is None else f"client {named(roster.missing())}"
            return f"waiting for {who}: {found} connected"

        if not wait_until(self.num_available, least, line=line, wait_s=wait_s):
            raise TrainingError(
                f"{line(len(self.clients))} after federation.wait_s={wait_s:g}: start them, or "
                "give as many federation.num_clients as there are; finished rounds are kept for "
                "resume"
            )
        if self.roster is not None:
            self.roster.began = True

    def fit(self, instructions: list[Any], server_round: int) -> tuple[list[Any], list[Any]]:
        """Let clients train; return results and failures.

        If the inline engine takes several at once, they are grouped by node.
        """
        grid = self.grid
        if not isinstance(grid, InlineGrid) or grid.clients_at_once == 1:
            return self._ask("fit", instructions, server_round)
        size, deliver = grid.clients_at_once, grid.deliver

        def in_groups(jobs: Sequence[Callable[[], R]]) -> list[R]:
            groups = (jobs[at : at + size] for at in range(0, len(jobs), size))
            return [found for group in groups for found in run_in_turns(group, serve=deliver)]

        ordered = sorted(instructions, key=lambda instruction: int(instruction[0].cid))
        return ask_clients("fit", in_groups, ordered, None, None, server_round)

    def evaluate(self, instructions: list[Any], server_round: int) -> tuple[list[Any], list[Any]]:
        """Let clients evaluate; return results and failures."""
        return self._ask("evaluate", instructions, server_round)

    @property
    def compute_elsewhere(self) -> bool:
        """True if clients run in other processes, so that this process is idle meanwhile."""
        return isinstance(self.grid, ProcessesGrid) or not isinstance(self.grid, InlineGrid)

    def _ask(
        self, method: str, instructions: list[Any], server_round: int
    ) -> tuple[list[Any], list[Any]]:
        def run_jobs(jobs: Sequence[Callable[[], R]]) -> list[R]:
            if isinstance(self.grid, InlineGrid):
                return self.grid.run_jobs(jobs)
            nodes = [int(client.cid) for client, _ in instructions]
            what = f"round {server_round}, {method}"
            found = _side_by_side(jobs, [self._name(node) for node in nodes], what=what)
            for node, outcome in zip(nodes, found, strict=True):
                if self.roster is not None and NO_SETTINGS in str(outcome):
                    self.roster.ask_again(node)
            return found

        return ask_clients(method, run_jobs, instructions, None, self.timeout_s, server_round)

    def _name(self, node: int) -> str:
        client = self.clients.get(str(node))
        partition = None if client is None else client.properties.get(PARTITION)
        return f"(node {node})" if self.roster is None else str(partition)


def _side_by_side(jobs: Sequence[Callable[[], R]], names: Sequence[str], *, what: str) -> list[R]:
    """Call each job in its own thread, and log unfinished jobs every half minute."""
    with ThreadPoolExecutor(max(1, len(jobs))) as pool:
        running = {pool.submit(job): name for job, name in zip(jobs, names, strict=True)}
        started, left = time.monotonic(), set(running)
        while left:
            left = wait(left, timeout=SAY_EVERY_S).not_done
            if left:
                names_left = sorted((running[job] for job in left), key=lambda n: (len(n), n))
                seconds = time.monotonic() - started
                log.info("%s: waiting for client %s for %.0f s", what, named(names_left), seconds)
        return [job.result() for job in running]


def with_one_thread(job: Callable[[], None]) -> None:
    """Call a job beside the clients: more threads would wait, spinning, for the cores they use."""
    with threadpool_limits(1):
        job()
