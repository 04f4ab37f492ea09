"""Which clients take part: the same ones on every engine, whatever ids its nodes have."""

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from flwr.app import Message
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.criterion import Criterion
from flwr.serverapp import Grid
from flwr.supercore.run import Run

PartitionOf = Callable[[list[ClientProxy]], dict[str, int]]


class OrderedClientManager(ClientManager):
    """A view of a client manager that samples by partition, with a generator of its own.

    Parameters
    ----------
    inner : ClientManager
        The manager of the running server.
    rng : random.Random
        Source of the sample.
    partition_of : callable
        Gives the partition of each client (by ``cid``). Asked only when there is a choice.
    """

    def __init__(
        self, inner: ClientManager, *, rng: random.Random, partition_of: PartitionOf
    ) -> None:
        self._inner = inner
        self._rng = rng
        self._partition_of = partition_of

    def num_available(self) -> int:
        """Return the number of available clients."""
        return self._inner.num_available()

    def register(self, client: ClientProxy) -> bool:
        """Register a client with the inner manager."""
        return self._inner.register(client)

    def unregister(self, client: ClientProxy) -> None:
        """Unregister a client from the inner manager."""
        self._inner.unregister(client)

    def all(self) -> dict[str, ClientProxy]:
        """Return all available clients."""
        return self._inner.all()

    def wait_for(self, num_clients: int, timeout: int = 86400) -> bool:
        """Wait until at least `num_clients` are available."""
        return self._inner.wait_for(num_clients, timeout)

    def sample(
        self,
        num_clients: int,
        min_num_clients: int | None = None,
        criterion: Criterion | None = None,
    ) -> list[ClientProxy]:
        """Return a seeded sample of the available clients, empty when there are too few."""
        self.num_available()  # Flower registers new nodes in this call, not in wait_for
        self.wait_for(num_clients if min_num_clients is None else min_num_clients)
        clients = [c for c in self.all().values() if criterion is None or criterion.select(c)]
        if num_clients > len(clients):
            return []
        if num_clients == len(clients):
            return clients
        partitions = self._partition_of(clients)
        clients.sort(key=lambda client: (partitions.get(client.cid, -1), int(client.cid)))
        return self._rng.sample(clients, num_clients)


class OrderedGrid(Grid):
    """A view of a grid whose node ids come in a given order; everything else is passed on."""

    def __init__(self, inner: Grid, node_ids: Iterable[int]) -> None:
        self._inner = inner
        self._node_ids = list(node_ids)

    def set_run(self, run: Run) -> None:
        """Set the run of the inner grid."""
        self._inner.set_run(run)

    @property
    def run(self) -> Run:
        """The run of the inner grid."""
        return self._inner.run

    def create_message(self, *args: object, **kwargs: object) -> Message:
        """Create a message as the inner grid does."""
        return self._inner.create_message(*args, **kwargs)  # type: ignore[arg-type]

    def get_node_ids(self) -> Iterable[int]:
        """Return the connected nodes' ids, in the given order; later arrivals last."""
        connected = set(self._inner.get_node_ids())
        known = [node_id for node_id in self._node_ids if node_id in connected]
        return known + sorted(connected.difference(known))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Push messages through the inner grid."""
        return self._inner.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull messages through the inner grid."""
        return self._inner.pull_messages(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send through the inner grid and wait for the replies."""
        return self._inner.send_and_receive(messages, timeout=timeout)


@contextmanager
def seeded_global_random(seed: int) -> Iterator[None]:
    """Seed Python's global generator, which Flower's message strategies sample with, for a block.

    The generator's state is restored afterwards.
    """
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
