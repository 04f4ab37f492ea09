"""Seeded sampling of clients, independent of the order in which they connect."""

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Any

from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.criterion import Criterion

from flwr_gan.flower.wrapping import of_inner

log = getLogger(__name__)

PARTITION = "partition-id"
"""Property of a client by which clients are sorted for sampling, before their node id."""

_POLL_S = 0.2
SAY_EVERY_S = 30.0
_LEAST = ("min_available_clients", "min_available_nodes")
_WRAPPED = ("inner", "strategy")


class OrderedClientManager(ClientManager):
    """A view of a client manager that samples by node id with its own generator.

    ``num_available`` waits for `least` clients: Flower's strategies read that number first, and
    would otherwise sample from the clients connected at that moment.
    """

    def __init__(self, inner: ClientManager, *, rng: random.Random, least: int) -> None:
        self.inner = inner
        self._rng = rng
        self._least = least

    def num_available(self) -> int:
        """Return the number of available clients, after waiting until there are enough."""
        wait_until(self.inner.num_available, self._least)
        return self.inner.num_available()

    register = of_inner("register")
    unregister = of_inner("unregister")
    all = of_inner("all")
    wait_for = of_inner("wait_for")

    def sample(
        self,
        num_clients: int,
        min_num_clients: int | None = None,
        criterion: Criterion | None = None,
    ) -> list[ClientProxy]:
        """Return a seeded sample of the available clients, empty if there are too few."""
        # Managers of grids look for new nodes in num_available, not in wait_for.
        least = num_clients if min_num_clients is None else min_num_clients
        wait_until(self.inner.num_available, least)
        clients = [c for c in self.all().values() if criterion is None or criterion.select(c)]
        if num_clients > len(clients):
            return []
        clients.sort(key=lambda client: (client.properties.get(PARTITION, 0), int(client.cid)))
        return clients if num_clients == len(clients) else self._rng.sample(clients, num_clients)


def wait_until(
    count: Callable[[], int],
    least: int,
    *,
    line: Callable[[int], str] | None = None,
    wait_s: float = math.inf,
) -> bool:
    """Wait until a count reaches `least`; log this at once and every half minute.

    `line` makes the log line from the count. Returns False after more than `wait_s` seconds.
    """
    begun, said = time.monotonic(), -SAY_EVERY_S
    while (found := count()) < least:
        waited = time.monotonic() - begun
        if waited > wait_s:
            return False
        if waited - said >= SAY_EVERY_S:
            said = waited
            text = line(found) if line else f"waiting for nodes: {found} of {least}"
            log.info("%s, %.0f s so far", text, waited)
        time.sleep(_POLL_S)
    return True


def least_available(strategy: Any) -> int:
    """Return the minimum of available clients of a strategy or its inner one; 0 if none."""
    seen: list[int] = []
    while strategy is not None and id(strategy) not in seen:
        seen.append(id(strategy))
        own = vars(strategy) if hasattr(strategy, "__dict__") else {}
        for name in _LEAST:
            if isinstance(own.get(name), int):
                return int(own[name])
        strategy = next((own[name] for name in _WRAPPED if name in own), None)
    return 0


@contextmanager
def seeded_global_random(seed: int) -> Iterator[None]:
    """Seed Python's global generator, used by Flower's message strategies, in the context.

    The generator's state is restored afterwards.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
