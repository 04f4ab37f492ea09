"""The server's half of the wire: a grid that encodes outgoing and decodes incoming messages.

Any user of a grid, a strategy of either API or a hand-written round loop, sees only plain records
and needs no knowledge of codecs.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, cast

from flwr.app import Error, Message
from flwr.serverapp import Grid

from flwr_gan.errors import PayloadError
from flwr_gan.flower.exchange import Exchange
from flwr_gan.flower.flwr_private import ErrorCode, Run
from flwr_gan.flower.in_flight import Dispatch, Received
from flwr_gan.flower.notes import NOTE, UNKNOWN, Label, ReplyNote
from flwr_gan.flower.packing import unpacked
from flwr_gan.flower.protocol import Listener
from flwr_gan.flower.records import Arrays, write_record
from flwr_gan.flower.settings import WireSettings
from flwr_gan.flower.wrapping import Wrapper, of_inner
from flwr_gan.wire.ledger import Ledger

T = TypeVar("T")
NO_REPLY = "node {} did not answer in time"


class CompressedGrid(Wrapper, Grid):
    """Wrap a grid so that arrays travel as coded payloads; clients need ``compression_mod``.

    One line in any server app::

        @app.main()
        def main(grid: Grid, context: Context) -> None:
            strategy.start(CompressedGrid(grid, codec="sparse:int8"), ...)

    Replies are sorted by the labels and ids of their nodes. A reply that is corrupt or too large,
    or that did not pass the client's mod, is returned as an error message. Attributes of the
    wrapped grid are available on this one.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
        The grid to wrap.
    ledger : Ledger, optional
        Gets one row per message; a new one by default.
    listeners : sequence of Listener
        Called with each message, such as ``CodecComparison``.
    exchange : Exchange, optional
        The exchange of a wrapper, with its own settings, ledger and listeners.
    **settings
        See ``WireSettings``: ``codec``, ``codec_up``, ``codec_down``, ``memory``, ``feedback``,
        ``include``, ``exclude``, ``max_reply_bytes``, ``strict``.

    Raises
    ------
    CodecError
        When a setting cannot be used.
    TypeError
        When `grid` is not a grid.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        ledger: Ledger | None = None,
        listeners: Sequence[Listener] = (),
        exchange: Exchange | None = None,
        **settings: Any,
    ) -> None:
        if not isinstance(grid, Grid):
            raise TypeError(f"expected a flwr.serverapp.Grid, got {type(grid).__name__}")
        self.inner = grid
        self.exchange = exchange or Exchange(
            WireSettings(**settings), ledger=ledger, listeners=listeners
        )
        self.exchange.attach(grid)
        self._pushed: dict[str, Dispatch] = {}
        self._lock = threading.RLock()

    set_run = of_inner("set_run")
    create_message = of_inner("create_message")

    @property
    def run(self) -> Run:
        """The run of the wrapped grid."""
        return self.inner.run

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of the connected nodes, ascending."""
        return sorted(self.inner.get_node_ids())

    def get_nodes(self) -> Iterable[Any]:
        """Return the connected nodes as the wrapped grid does, by ascending id."""
        return sorted(self.inner.get_nodes(), key=lambda node: node.node_id)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Code messages and push them; returns their ids."""
        coded, dispatches = self.encoded(messages)
        ids = list(self.inner.push_messages(coded))
        with self._lock:
            self._pushed |= dict(zip(ids, dispatches, strict=True))
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pull the replies to pushed messages and decode them."""
        replies = list(self.inner.pull_messages(message_ids))
        for reply in replies:
            self._pushed.pop(reply.metadata.reply_to_message_id, None)
        return self.opened(replies, self._plain)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Code messages, send them, and return the decoded replies."""
        return self.exchanged(messages, self._plain, timeout=timeout)

    def exchanged(
        self,
        messages: Iterable[Message],
        take: Callable[[Received], T],
        *,
        timeout: float | None = None,
    ) -> list[Message | T]:
        """Code messages, send them, and return the result of `take` for each valid reply.

        The results are sorted by node. A reply for which `take` raises ``PayloadError`` is refused
        and returned as an error message.
        """
        coded, dispatches = self.encoded(messages)
        if not coded:
            return []
        replies = list(self.inner.send_and_receive(coded, timeout=timeout))
        opened = self.opened(replies, take)
        with self._lock:
            for dispatch in dispatches:
                if self.exchange.forget(dispatch):
                    self.exchange.books.refused(NO_REPLY.format(dispatch.node))
            if len(dispatches) > 1:
                self.exchange.books.settle()
        return opened

    def encoded(self, messages: Iterable[Message]) -> tuple[list[Message], list[Dispatch]]:
        """Return coded messages for the wrapped grid, and their dispatches."""
        given = list(messages)
        with self._lock:
            pairs = [self.exchange.encode(m, new_call=at == 0) for at, m in enumerate(given)]
        return [message for message, _ in pairs], [dispatch for _, dispatch in pairs]

    def opened(
        self, replies: Iterable[Message], take: Callable[[Received], T]
    ) -> list[Message | T]:
        """Return the result of `take` for each reply of the wrapped grid, as in ``exchanged``."""

        def place(reply: Message) -> tuple[bool, int, str, int]:
            return label_order(label_of(reply), reply.metadata.src_node_id)

        with self._lock:
            return [self._opened_one(reply, take) for reply in sorted(replies, key=place)]

    def _opened_one(self, reply: Message, take: Callable[[Received], T]) -> Message | T:
        try:
            return take(self.exchange.receive(reply))
        except PayloadError as problem:
            reason = self.exchange.books.refused(str(problem))
            return refusal(reply, reason)

    def _plain(self, received: Received) -> Message:
        """Return a reply with plain arrays."""
        content = received.content
        for name, found in self.exchange.check(received, decode=True).items():
            opaque = received.replies[name].opaque
            content.array_records[name] = write_record(cast(Arrays, found), opaque, name=name)
        metadata = received.message.metadata
        plain: Message = Message(metadata=metadata, content=content)  # type: ignore[call-overload]
        return plain


def label_of(reply: Message) -> Label:
    """Return the label of a reply's node, -1 if it cannot be read."""
    if reply.has_content():
        with suppress(PayloadError):  # reported when the reply is read
            record = unpacked(reply.content).config_records.get(NOTE)
            return UNKNOWN if record is None else ReplyNote.from_record(record).label
    return UNKNOWN


def label_order(label: Label, node: int) -> tuple[bool, int, str, int]:
    """Return the sort key of a node: its label and id."""
    whole = isinstance(label, int)
    return not whole, int(label) if whole else 0, "" if whole else str(label), node


def refusal(reply: Message, reason: str) -> Message:
    """Return a reply with an error instead of its content."""
    error = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)
    refused: Message = Message(metadata=reply.metadata, error=error)  # type: ignore[call-overload]
    return refused
