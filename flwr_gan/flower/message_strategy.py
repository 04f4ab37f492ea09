"""The server's half of the wire for strategies of Flower's message API."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from logging import getLogger

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.app.error import Error
from flwr.app.message_type import MessageType
from flwr.common.constant import ErrorCode
from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from flwr_gan.errors import PayloadError
from flwr_gan.flower.exchange import Exchange
from flwr_gan.flower.notes import QUERY, partition_in, peek_note, put_note, take_note
from flwr_gan.flower.records import (
    arrays_to_record,
    copy_content,
    payload_of,
    payload_record,
    record_to_arrays,
)
from flwr_gan.flower.sampling import OrderedGrid, seeded_global_random
from flwr_gan.flower.transport import message_bytes
from flwr_gan.seeding import derive_seed
from flwr_gan.wire.ledger import Kind, Ledger

log = getLogger(__name__)


class CompressedMessageStrategy(Strategy):
    """Wrap a strategy of Flower's message API so that its arrays travel as coded payloads.

    The inner strategy sees plain array records; clients need ``mods=[compression_mod]``. Replies
    are sorted by partition, clients are sampled with a seed, and a reply that is corrupt, of
    another shape or not finite reaches the inner strategy as an error message.

    Parameters
    ----------
    inner : flwr.serverapp.strategy.Strategy
        The strategy to wrap.
    codec : str
        Codec spec for both directions.
    seed : int
        Seed of client sampling.
    ledger : Ledger, optional
        Takes a row for each message; a new one by default.
    memory : bool
        Payloads may lean on what their receiver is known to hold: on by default.
    feedback : bool
        What a lossy codec loses is added to what its sender sends next: off by default.

    Raises
    ------
    TypeError
        When `inner` is not a strategy of the message API.
    CodecError
        When `codec` is unknown or not installed.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        codec: str = "sparse",
        seed: int = 0,
        ledger: Ledger | None = None,
        memory: bool = True,
        feedback: bool = False,
    ) -> None:
        if isinstance(inner, LegacyStrategy):
            raise TypeError(
                f"{type(inner).__name__} is a flwr.server strategy: wrap it in "
                "CompressedStrategy instead"
            )
        if not isinstance(inner, Strategy):
            raise TypeError(f"expected a flwr.serverapp strategy, got {type(inner).__name__}")
        self.inner = inner
        self.seed = seed
        self.exchange = Exchange(
            codec, Ledger() if ledger is None else ledger, memory=memory, feedback=feedback
        )
        self.failures: dict[int, list[str]] = {}

    @property
    def ledger(self) -> Ledger:
        """The rows of all messages so far."""
        return self.exchange.ledger

    def summary(self) -> None:
        """Log the codec and the inner strategy's settings."""
        log.info("payloads coded with %s", self.exchange.codec)
        self.inner.summary()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Encode what the inner strategy wants to send, once for each distinct broadcast."""
        view = self._begin(server_round, "train", grid)
        with seeded_global_random(derive_seed(self.seed, "sample-train", round=server_round)):
            messages = list(self.inner.configure_train(server_round, arrays, config, view))
        return [self._encode(message) for message in messages]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Decode the replies and hand them, sorted by partition, to the inner strategy."""
        return self.inner.aggregate_train(server_round, self._open(server_round, replies))

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Encode what the inner strategy wants evaluated at the clients."""
        view = self._begin(server_round, "evaluate", grid)
        with seeded_global_random(derive_seed(self.seed, "sample-evaluate", round=server_round)):
            messages = list(self.inner.configure_evaluate(server_round, arrays, config, view))
        return [self._encode(message) for message in messages]

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Log the replies and hand them, sorted by partition, to the inner strategy."""
        return self.inner.aggregate_evaluate(server_round, self._open(server_round, replies))

    def _begin(self, server_round: int, kind: Kind, grid: Grid) -> Grid:
        self.exchange.begin(server_round, kind)
        self._ask([n for n in grid.get_node_ids() if n not in self.exchange.partitions], grid)
        known = self.exchange.partitions
        return OrderedGrid(grid, sorted(known, key=lambda node: (known[node], node)))

    def _ask(self, nodes: list[int], grid: Grid) -> None:
        """Ask the mods of new nodes for their partition; the question is counted too."""
        query = RecordDict()
        put_note(query, QUERY)
        weight = message_bytes(query)
        asked = {node: self.exchange.carried("down", node, weight, kind="init") for node in nodes}
        questions = [Message(copy_content(query), node, MessageType.TRAIN) for node in nodes]
        for reply in grid.send_and_receive(questions) if questions else ():
            node = reply.metadata.src_node_id
            if not reply.has_content():
                continue
            partition = partition_in(peek_note(reply.content))
            self.exchange.learn(node, partition)
            asked[node].set_client(partition)
            self.exchange.carried("up", node, message_bytes(reply.content), kind="init")

    def _encode(self, message: Message) -> Message:
        content = copy_content(message.content)
        sent = {}
        node = message.metadata.dst_node_id
        for name, record in message.content.array_records.items():
            read = partial(record_to_arrays, record)
            sent[name] = self.exchange.broadcast(record, read, node, name)
            content.array_records[name] = payload_record(sent[name][0].payload)
        put_note(content, self.exchange.note)
        self.exchange.sent(node, sent, content)
        message.content = content
        return message

    def _open(self, server_round: int, replies: Iterable[Message]) -> list[Message]:
        opened = [self._open_one(reply) for reply in sorted(replies, key=_place)]
        opened = _refuse_outsiders(opened)
        reasons = [str(reply.error.reason) for reply in opened if reply.has_error()]
        self.failures.setdefault(server_round, []).extend(reasons)
        for reason in reasons:
            log.warning(
                "round %d: a client was dropped: %s", server_round, " ".join(reason.split())
            )
        return opened

    def _open_one(self, reply: Message) -> Message:
        """Return the reply with plain arrays, or with an error in place of its content."""
        if not reply.has_content():
            return reply
        node = reply.metadata.src_node_id
        content = copy_content(reply.content)
        try:
            entry = self.exchange.answered(node, take_note(content), message_bytes(reply.content))
            for name, record in content.array_records.items():
                coded = self.exchange.reply(node, payload_of(record), record=name)
                self.exchange.check(entry, coded, record=name)
                content.array_records[name] = arrays_to_record(coded.arrays(writable=False))
        except PayloadError as error:
            return _refusal(reply, str(error))
        reply.content = content
        return reply


def _place(reply: Message) -> tuple[int, int]:
    note = peek_note(reply.content) if reply.has_content() else None
    return partition_in(note), reply.metadata.src_node_id


def _refusal(reply: Message, reason: str) -> Message:
    error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
    refused: Message = Message(metadata=reply.metadata, error=error)  # type: ignore[call-overload]
    return refused


def _records(reply: Message) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the names of a reply's array records, and of its metric records with their keys."""
    metrics = {name: tuple(sorted(r)) for name, r in reply.content.metric_records.items()}
    return tuple(sorted(reply.content.array_records)), tuple(sorted(metrics.items()))


def _refuse_outsiders(replies: list[Message]) -> list[Message]:
    """Refuse replies whose records are not those of most: one would fail the round for all."""
    shapes = Counter(_records(reply) for reply in replies if reply.has_content())
    if len(shapes) < 2:
        return replies
    (usual, _), *_ = shapes.most_common(1)
    reason = f"its records {{}} are not those of the other replies, {usual}"
    return [
        _refusal(reply, reason.format(_records(reply)))
        if reply.has_content() and _records(reply) != usual
        else reply
        for reply in replies
    ]
