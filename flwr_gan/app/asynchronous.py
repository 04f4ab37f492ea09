"""Asynchronous rounds: the server aggregates whenever enough replies have come.

With the virtual clock, replies are ordered by virtual time, and by node at equal times, on every
engine. On Flower's own runtimes, without a clock, their order is not fixed. A "round" is a version
of the model with the replies that made the next one.
"""

import math
import time
from dataclasses import dataclass
from heapq import heappop, heappush

from flwr.app import Message, MessageType
from flwr.common import FitIns, FitRes, Parameters, Scalar
from flwr.server.client_proxy import ClientProxy

from flwr_gan.app.federation import Federation
from flwr_gan.app.nodes import NO_SETTINGS
from flwr_gan.app.run import Run
from flwr_gan.app.server import GridClients
from flwr_gan.app.timing import RunClock
from flwr_gan.errors import ConfigError, PayloadError
from flwr_gan.flower import CodedFitRes, CompressedGrid
from flwr_gan.flower.compressed_grid import label_of
from flwr_gan.flower.flwr_private import fitins_to_recorddict
from flwr_gan.flower.in_flight import Dispatch
from flwr_gan.flower.notes import EF21, Label
from flwr_gan.flower.transport import message_bytes
from flwr_gan.seeding import numpy_rng

POLL_S = 0.5
LEFT = "node {} has left, or did not answer in time"
_NOT_MORE = 1 - 1e-9  # keeps rounding from making a lower bound too large


def check_asynchronous(federation: Federation, name: str) -> None:
    """Raise ``ConfigError`` for settings that need rounds shared by all clients."""
    config = federation.config
    refused = {
        "evaluation=clients": config.evaluation == "clients",
        f"feedback={EF21}": config.feedback == EF21,
        "also_codecs": bool(config.also_codecs),
        "clock.deadline_s": config.clock.deadline_s is not None,
        "clock.over_selection": config.clock.over_selection > 1,
        "drift": config.drift is not None,
        "regeneration": config.regeneration is not None,
        "privacy": config.privacy is not None,
    }
    for setting in (setting for setting, is_set in refused.items() if is_set):
        raise ConfigError(
            f"{setting} beside {name}, whose clients have no round in common: drop one of them"
        )


@dataclass
class Sent:
    """A message that a client is working on."""

    node: int
    client: ClientProxy
    version: int  # of the model in it
    message: Message  # coded
    dispatch: Dispatch
    start_s: float = 0.0
    least_s: float = 0.0  # no reply arrives before


class ByClock:
    """Replies in the order of virtual time.

    Messages wait here until one of their replies could be the next one. They are then delivered
    together, so that clients train in parallel if the engine allows it.
    """

    def __init__(self, grid: CompressedGrid, clock: RunClock) -> None:
        self._grid, self._clock = grid, clock
        self._waiting: list[Sent] = []
        self._coming: list[tuple[float, int, Sent, Message]] = []

    def send(self, sent: Sent) -> None:
        """Send a message to a client, now."""
        label = self._grid.exchange.books.labels.get(sent.node)
        sent.start_s = self._clock.clock.now
        least_s = self._clock.least_s(label, sent.dispatch.row.message_bytes)
        sent.least_s = sent.start_s + _NOT_MORE * least_s
        self._waiting.append(sent)

    def receive(self) -> tuple[Sent, Message | None] | None:
        """Return the next coded reply, and set the clock; None if none will come."""
        while self._waiting and not (
            self._coming and self._coming[0][0] < min(sent.least_s for sent in self._waiting)
        ):
            self._deliver()
        if not self._coming:
            return None
        arrived_s, _, sent, reply = heappop(self._coming)
        self._clock.clock.now = max(self._clock.clock.now, arrived_s)
        return sent, reply

    def _deliver(self) -> None:
        waiting, self._waiting = {sent.node: sent for sent in self._waiting}, []
        messages = [sent.message for sent in waiting.values()]
        for reply in self._grid.inner.send_and_receive(messages):
            sent = waiting[reply.metadata.src_node_id]
            label: Label | None = self._grid.exchange.books.labels.get(sent.node)
            up_bytes = 0
            if reply.has_content():
                label, up_bytes = label_of(reply), message_bytes(reply.content)
            arrived_s = self._clock.arrival_s(
                sent.version, label, sent.start_s, sent.dispatch.row.message_bytes, up_bytes
            )
            heappush(self._coming, (arrived_s, sent.node, sent, reply))


class AsTheyCome:
    """Replies in the order of a grid.

    The reply of a node that has left, or that takes longer than ``timeout_s``, is None.
    """

    def __init__(self, grid: CompressedGrid, timeout_s: float | None = None) -> None:
        self._grid, self._timeout_s = grid, timeout_s or math.inf
        self._pushed: dict[str, Sent] = {}
        self._came: list[tuple[Sent, Message | None]] = []

    def send(self, sent: Sent) -> None:
        """Send a message to a client, now."""
        sent.start_s = time.monotonic()
        (message_id,) = self._grid.inner.push_messages([sent.message])
        self._pushed[message_id] = sent

    def receive(self) -> tuple[Sent, Message | None] | None:
        """Wait for the next reply; None if none will come."""
        while self._pushed and not self._came:
            for reply in self._grid.inner.pull_messages(list(self._pushed)):
                self._came.append((self._pushed.pop(reply.metadata.reply_to_message_id), reply))
            if not self._came:
                nodes = set(self._grid.inner.get_node_ids())
                oldest = time.monotonic() - self._timeout_s
                lost = [
                    message_id
                    for message_id, sent in self._pushed.items()
                    if sent.node not in nodes or sent.start_s < oldest
                ]
                self._came += [(self._pushed.pop(message_id), None) for message_id in lost]
            if not self._came:
                time.sleep(POLL_S)
        return self._came.pop(0) if self._came else None


class Loop:
    """The server's side of a run without common rounds."""

    def __init__(self, run: Run, clients: GridClients) -> None:
        self._run, self._clients, self._strategy = run, clients, run.strategy
        self._replies: ByClock | AsTheyCome | None = None
        self._grid: CompressedGrid
        self._flight: dict[int, Sent] = {}
        self._asked: dict[int, int] = {}  # how often a node was sent something
        self._strategy.exchange.broadcaster.by_version = True

    def round(self, version: int, parameters: Parameters) -> tuple[Parameters, dict[str, Scalar]]:
        """Send a version to free clients until enough replies have come; then aggregate.

        Raises ``TrainingError`` when no client has delivered anything.
        """
        strategy, clients = self._strategy, self._clients
        while not (chosen := strategy.configure_fit(version, parameters, clients)):
            time.sleep(POLL_S)  # until there are enough nodes
        self._grid = strategy.grid
        if self._replies is None:
            clock = self._run.clock
            self._replies = (
                AsTheyCome(self._grid, clients.timeout_s)
                if clock is None
                else ByClock(self._grid, clock)
            )
        strategy.exchange.begin(version, "train", new_call=True)
        results: list[tuple[ClientProxy, FitRes]] = []
        failures: list[tuple[ClientProxy, FitRes] | BaseException] = []
        failed: set[int] = set()
        while len(results) < strategy.inner.buffer_size:  # type: ignore[attr-defined]
            self._send(version, chosen[0][1], len(chosen), failed)
            found = self._replies.receive()
            if found is None and failures:
                break  # all have failed
            if found is None:
                time.sleep(POLL_S)  # until there is a node
                continue
            sent, reply = found
            del self._flight[sent.node]
            result = self._opened(sent, reply)
            if isinstance(result, CodedFitRes):
                result.staleness = version - sent.version
                results.append((sent.client, result))
            else:
                failures.append(result)
                failed.add(sent.node)
        aggregated, _ = strategy.aggregate_fit(version, results, failures)
        self._run.require_reply(version)
        return aggregated or parameters, {}

    def _send(self, version: int, ins: FitIns, at_once: int, failed: set[int]) -> None:
        """Send a version to free clients until the intended number is at work."""
        busy, connected = {*self._flight, *failed}, self._clients.all()
        free = sorted(node for node in map(int, connected) if node not in busy)
        wanted = min(len(free), at_once - len(self._flight))
        if wanted < len(free):
            rng = numpy_rng(self._run.config.seed, "asked", round=sum(self._asked.values()))
            free = sorted(rng.choice(free, max(wanted, 0), replace=False).tolist())
        messages = []
        for node in free:
            self._asked[node] = self._asked.get(node, 0) + 1
            own = FitIns(ins.parameters, {**ins.config, "round": self._asked[node]})
            content = fitins_to_recorddict(own, keep_input=True)
            messages.append(Message(content, node, MessageType.TRAIN, group_id=str(version)))
        assert self._replies is not None, "it is made before anything is sent"
        for node, message, dispatch in zip(free, *self._grid.encoded(messages), strict=True):
            self._flight[node] = Sent(node, connected[str(node)], version, message, dispatch)
            self._replies.send(self._flight[node])

    def _opened(self, sent: Sent, reply: Message | None) -> CodedFitRes | PayloadError:
        """Return a reply, or the reason why there is none."""
        exchange = self._strategy.exchange
        if reply is None:
            exchange.forget(sent.dispatch)
            return PayloadError(exchange.books.refused(LEFT.format(sent.node)))
        (found,) = self._grid.opened([reply], CodedFitRes.of)
        if isinstance(found, CodedFitRes):
            return found
        exchange.forget(sent.dispatch)
        reason = str(found.error.reason)
        if self._clients.roster is not None and NO_SETTINGS in reason:
            self._clients.roster.ask_again(sent.node)
        return PayloadError(reason)
