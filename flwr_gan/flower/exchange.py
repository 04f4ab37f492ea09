"""The messages of one server: broadcasts to each node, replies, and their bytes."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import Message
from flwr.serverapp import Grid

from flwr_gan.errors import PayloadError
from flwr_gan.flower.bookkeeping import Books, count
from flwr_gan.flower.broadcasts import Broadcast, Broadcaster
from flwr_gan.flower.in_flight import Dispatch, Received
from flwr_gan.flower.memory import record_key
from flwr_gan.flower.notes import (
    EF21,
    UNKNOWN,
    Label,
    Order,
    ReplyNote,
    keep_word,
    put_note,
    take_note,
)
from flwr_gan.flower.packing import packed, unpacked
from flwr_gan.flower.progress import Progress, advanced, made
from flwr_gan.flower.protocol import CodedMessage, Listener, ReplyRules
from flwr_gan.flower.records import (
    PAYLOAD_STYPE,
    Arrays,
    copy_content,
    is_payload,
    payload_of,
    payload_record,
)
from flwr_gan.flower.reply import CodedReply
from flwr_gan.flower.settings import WireSettings
from flwr_gan.wire import Base, PayloadInfo, Template, describe_payload
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.ledger import Kind, Ledger, MessageRow

LEAST_REPLY_BYTES = 64 << 20
KEPT_TEMPLATES = 64  # of replies; nodes refer to the last one by its hash
INITIAL_MAX_BYTES = 4 << 30  # limit for arrays requested of a client before it was sent any
NO_NOTE = "the reply did not pass the wire"
MODS = "list compression_mod first in the client's mods, before arrays_size_mod, LocalDpMod, others"
_KINDS: dict[str, Kind] = {"train": "train", "evaluate": "evaluate"}


class Exchange:
    """The server's half of the wire, on any grid: encode, decode, count."""

    def __init__(
        self,
        settings: WireSettings,
        *,
        ledger: Ledger | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.settings = settings
        self.books = Books(settings, Ledger() if ledger is None else ledger)
        self.listeners = list(listeners)
        self.broadcaster = Broadcaster(settings)
        self.rules = ReplyRules()
        self.progress = Progress()
        self.up_mbit_s: Mapping[Label, float] = {}
        self._expected: dict[str, bytes] = {}
        self._templates: OrderedDict[bytes, Template] = OrderedDict()
        self._waiting: dict[int, list[Dispatch]] = {}
        self._grid: Grid | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without what belongs to a run in progress."""
        return {**self.__dict__, "_waiting": {}, "_grid": None}

    def attach(self, grid: Grid) -> None:
        """Set the grid in use; the nodes of a new grid hold nothing yet."""
        if self._grid is not None and self._grid is not grid:
            self.broadcaster.memory.held.clear()
            self._waiting.clear()
        self._grid = grid

    def begin(self, server_round: int | None, kind: Kind, *, new_call: bool) -> None:
        """Begin an exchange of messages, unless it is the current one.

        Messages of one round and kind are one exchange. If messages name no round, as in
        hand-written round loops, each call is an exchange, and training begins a round.
        """
        if server_round is None:
            if not new_call:
                return
            server_round = self.books.round + (kind == "train")
        elif (server_round, kind) == (self.books.round, self.books.kind):
            return
        self.books.begin(server_round, kind)
        self.broadcaster.begin(server_round)

    def encode(self, message: Message, *, new_call: bool = True) -> tuple[Message, Dispatch]:
        """Return a message with payloads for its arrays, and its dispatch.

        The given message is not changed. ``new_call`` is True for the first of the messages that
        are sent together.
        """
        kind = _KINDS.get(message.metadata.message_type.split(".")[0], "init")
        self.begin(_round_of(message), kind, new_call=new_call)
        node, content = message.metadata.dst_node_id, copy_content(message.content)
        if self._waiting.get(node):  # unknown whether it decoded the last broadcast
            self.broadcaster.memory.forget(node)
        found: dict[str, tuple[Broadcast, bool]] = {}
        for name, record in message.content.array_records.items():
            if is_payload(record):
                continue
            found[name] = self.broadcaster.broadcast(record, node, name, training=kind == "train")
            content.array_records[name] = payload_record(*found[name][0].payloads)
        put_note(content, self._order(found, node))
        travels = packed(content)
        row = self.books.row("down", node, self.settings.down_at(self.books.round), travels)
        row.encode_s = 0.0
        for broadcast, encoded_now in found.values():
            count(row, broadcast.infos, broadcast.counts)
            row.encode_s += broadcast.encode_s if encoded_now else 0.0
            row.arrived_share = float(np.fmin(row.arrived_share, broadcast.arrived_share))
        dispatch = Dispatch(node, row, {name: broadcast for name, (broadcast, _) in found.items()})
        self._waiting.setdefault(node, []).append(dispatch)
        parts = {n: (b.held.arrays, b.before) for n, b in dispatch.broadcasts.items()}
        encoded_now = any(now for _, now in found.values())
        for listener in self.listeners:
            listener.sent(CodedMessage(row, content, parts, encoded_now))
        self.books.warn_of_loss(row)
        coded: Message = Message(metadata=message.metadata, content=travels)  # type: ignore[call-overload]
        dispatch.message = coded
        return coded, dispatch

    def _up_codec(self, node: int) -> str:
        """Return the codec spec of a node's reply, by its link once its label is known."""
        mbits = self.up_mbit_s.get(self.books.labels.get(node, UNKNOWN))
        return self.settings.up_at(self.books.round, mbits)

    def _order(self, found: Mapping[str, tuple[Broadcast, bool]], node: int) -> Order:
        settings = self.settings
        expected = self._expected.get(next(iter(found), ""), b"")
        if expected in {broadcast.held.template.hash for broadcast, _ in found.values()}:
            expected = b""
        if expected:
            self._templates.move_to_end(expected)
        return Order(
            codec=self._up_codec(node),
            feedback=settings.feedback,
            keep=keep_word(settings.down, memory=settings.memory),
            include=settings.include,
            exclude=settings.exclude,
            template=expected,
            progress={record_key(name): self.progress.token(node, name) for name in found},
            opaque={name: broadcast.source.opaque for name, (broadcast, _) in found.items()},
        )

    def receive(self, reply: Message) -> Received:
        """Add a reply to the ledger, read its note and its payloads' headers.

        Raises ``PayloadError`` when it is an error, did not pass the wire, or a header is damaged.
        """
        node = reply.metadata.src_node_id
        dispatch = self._dispatch_of(reply)
        if not reply.has_content():
            raise PayloadError(_explained(str(reply.error.reason), dispatch))
        row = self.books.row("up", node, self._up_codec(node), reply.content)
        content = unpacked(copy_content(reply.content))
        received = Received(reply, row, content, dispatch)
        note_record = take_note(content)
        if note_record is None:
            raise PayloadError(f"{NO_NOTE}: {MODS}")
        note = ReplyNote.from_record(note_record)
        self._learn(node, note, row, dispatch)
        for name, record in content.array_records.items():
            if not is_payload(record):
                raise PayloadError(f"record {name} of {NO_NOTE}: {MODS}")
            payload = payload_of(record)
            row.payload_bytes += len(payload)  # these bytes were sent, whatever they hold
            received.replies[name] = self._reply(payload, name, dispatch, note)
        return received

    def _learn(
        self, node: int, note: ReplyNote, row: MessageRow, dispatch: Dispatch | None
    ) -> None:
        self.books.labels[node] = row.client = note.label
        row.encode_s, row.arrived_share = note.encode_s, note.arrived_share
        if dispatch is not None:
            dispatch.row.client, dispatch.row.decode_s = note.label, note.decode_s
            for record, broadcast in dispatch.broadcasts.items():
                self.broadcaster.memory.confirm(node, record, broadcast.held.name)
        self.books.warn_of_loss(row)

    def _reply(
        self, payload: bytes, name: str, dispatch: Dispatch | None, note: ReplyNote
    ) -> CodedReply:
        """Return a payload with its expected template and its possible base."""
        sent = None if dispatch is None else dispatch.answered_by(name)
        own: Arrays = {}
        base = None
        if dispatch is not None and sent is not None:
            if not self.settings.selection.takes_all:
                own = self.settings.selection.left_out(sent.source.arrays)
            base = sent.held.base if sent.held.arrays else None
            if note.advanced:
                progress = self.progress.get(dispatch.node, name)
                base = Base(advanced(sent.held.arrays, progress))
        limit = self.settings.max_reply_bytes
        if limit is None:
            limit = max(LEAST_REPLY_BYTES, 4 * (sent.counts[2] if sent else 0))
            limit = INITIAL_MAX_BYTES if self.books.kind == "init" else limit
        info = describe_payload(payload)
        coded = CodedReply(
            payload,
            self._template_of(info, None if sent is None else sent.held.template),
            base,
            limit,
            opaque=note.opaque.get(name, {}),
            own=own,
            order=sent.source.arrays if sent is not None and own else {},
            finite=self.rules.finite,
        )
        coded.__dict__["info"] = info  # so that it is not read again
        if info.template is not None:
            self._expected[name] = info.template.hash
            self._templates[info.template.hash] = info.template
            self._templates.move_to_end(info.template.hash)
            while len(self._templates) > KEPT_TEMPLATES:
                self._templates.popitem(last=False)
        return coded

    def _template_of(self, info: PayloadInfo, held: Template | None) -> Template | None:
        """Return the template of the arrays of a node's reply, or raise ``PayloadError``."""
        template = info.template
        if template is None and info.template_hash is not None:
            own = held is not None and held.hash == info.template_hash
            template = held if own else self._templates.get(info.template_hash)
            if template is None:
                raise PayloadError("the reply names a template that this server does not know")
        elif template is None:
            template = held
        wanted = self.rules.template
        if self.books.kind != "train" or template is None:
            return template
        if not template.names and self.rules.may_be_empty:
            return template
        if wanted is None and self.rules.finite and held is not None and held.names:
            wanted = held
        if wanted is not None and not _alike(template, wanted):
            raise PayloadError(
                "the reply has arrays of other names, shapes or dtypes than expected"
            )
        return template

    def check(self, received: Received, *, decode: bool) -> dict[str, Arrays | Array]:
        """Decode each payload of a reply once, fill in its row and accept it.

        With `decode`, returns the arrays of each record; otherwise only its survivors if these are
        enough, see ``CodedReply.survivors``. Raises ``PayloadError``.
        """
        row, training = received.row, self.books.kind == "train"
        follows = training and self.settings.feedback == EF21
        whole = decode or follows or bool(self.listeners)
        came: dict[str, Arrays | Array] = {}
        row.payload_bytes = 0
        seconds = 0.0
        for name, reply in received.replies.items():
            started = time.perf_counter()
            try:
                counts, came[name] = reply.check(whole=whole)
            except PayloadError:
                row.payload_bytes += len(reply.payload)
                raise
            seconds += time.perf_counter() - started
            count(row, [reply.info], counts)
        if received.replies:
            row.decode_s = seconds
        if training and self.rules.may_be_empty and not row.parameters:
            row.kind = "unchanged"
        arrays = {name: found for name, found in came.items() if isinstance(found, Mapping)}
        parts = {name: (found, received.base_of(name)) for name, found in arrays.items()}
        for name, (found, before) in parts.items():
            if follows and before is not None:
                node = received.message.metadata.src_node_id
                self.progress.put(node, name, made(found, before))
        for listener in self.listeners:
            listener.received(CodedMessage(row, unpacked(received.message.content), parts))
        self.books.accepted()
        return came | {n: received.replies[n].completed(found) for n, found in arrays.items()}

    def forget(self, dispatch: Dispatch) -> bool:
        """Note that no reply to a message will come, so its node's arrays are unknown.

        Returns whether a reply was still awaited.
        """
        waiting = self._waiting.get(dispatch.node, [])
        if dispatch not in waiting:
            return False
        waiting.remove(dispatch)
        self.broadcaster.memory.forget(dispatch.node)
        return True

    def _dispatch_of(self, reply: Message) -> Dispatch | None:
        """Return the dispatch that a reply answers, and stop waiting for it.

        For a node that has left, Flower's SuperLink replies with an error under its own id.
        """
        answered = reply.metadata.reply_to_message_id
        own = self._waiting.get(reply.metadata.src_node_id, [])
        for waiting in [own] if own or reply.has_content() else self._waiting.values():
            for dispatch in waiting:
                sent = dispatch.message
                named = sent is not None and sent.metadata.message_id == answered
                if named or len(own) == 1:
                    waiting.remove(dispatch)
                    if not reply.has_content():
                        self.broadcaster.memory.forget(dispatch.node)
                    return dispatch
        return None

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint, as a tree."""
        return self.broadcaster.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self.broadcaster.load_state_dict(state)


def _round_of(message: Message) -> int | None:
    """Return the round that a message names, None if it names none."""
    named = [config.get("server-round") for config in message.content.config_records.values()]
    for word in (*named, message.metadata.group_id):
        if str(word if word is not None else "").isdecimal():
            return int(str(word))
    return None


def _alike(template: Template, wanted: Template) -> bool:
    """Return whether two templates differ at most in the width of their float types."""
    if template.names != wanted.names:
        return False
    pairs = zip(template.specs, wanted.specs, strict=True)
    return all(a.shape == b.shape and a.dtype.kind == b.dtype.kind for a, b in pairs)


def _explained(reason: str, dispatch: Dispatch | None) -> str:
    """Return why a client failed, with a remedy if it could not read its payload.

    A client without the mod finds no records in a packed message.
    """
    missed = [f"'{name}'" for name in (dispatch.broadcasts if dispatch else ())]
    signs = (PAYLOAD_STYPE, "pickled", "0 ArrayRecord", *(f"KeyError: {name}" for name in missed))
    unreadable = any(sign in reason for sign in signs)
    return f"{reason}; the client could not read a payload: {MODS}" if unreadable else reason
