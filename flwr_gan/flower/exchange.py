"""The server's half of the wire, whatever strategy API is in use: encode, decode, count."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
from flwr.app import RecordDict

from flwr_gan.codecs import get_codec
from flwr_gan.codecs.arrays import Array
from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.flower.memory import Remembered, ServerMemory, name_of
from flwr_gan.flower.notes import ReplyNote, put_note, reply_order, take_note
from flwr_gan.flower.records import Arrays, copy_content, payload_record
from flwr_gan.flower.reply import CodedReply
from flwr_gan.flower.reply_encoding import base_for, encode_reply
from flwr_gan.flower.transport import message_bytes
from flwr_gan.wire import (
    Base,
    PayloadInfo,
    Template,
    decode_payload,
    describe_payload,
    encode_payload,
    encode_with_feedback,
)
from flwr_gan.wire.ledger import Direction, Kind, Ledger, MessageRow

INIT_MAX_BYTES = 1 << 30  # bound on initial parameters, the only arrays that no template announces


@dataclass(frozen=True)
class Broadcast:
    """One payload for many clients, and what they hold once they have decoded it."""

    name: bytes
    payload: bytes
    base: Arrays
    template: Template
    encode_s: float
    others: Mapping[str, tuple[bytes, float]]

    @cached_property
    def known_base(self) -> Base:
        """The base, taken apart once for all replies that lean on it."""
        return Base(self.base)

    @cached_property
    def info(self) -> PayloadInfo:
        """What the payload's header says."""
        return describe_payload(self.payload)

    @cached_property
    def counts(self) -> tuple[int, int]:
        """The number of parameters and of those that are not zero."""
        return _counts(self.base)


@dataclass
class Entry:
    """A message in the ledger, and its twins in the ledgers of the codecs that are compared."""

    node: int
    row: MessageRow
    twins: dict[str, MessageRow]
    content: RecordDict | None = None

    def set_client(self, partition: int) -> None:
        """Name the client, once it is known."""
        for row in (self.row, *self.twins.values()):
            row.client = partition

    def set_kind(self, kind: Kind) -> None:
        """Say what the message was for, once it is known."""
        for row in (self.row, *self.twins.values()):
            row.kind = kind


@dataclass
class Exchange:
    """The messages of one server: who was sent what, who answered, and what it weighed.

    Parameters
    ----------
    codec : str
        Codec spec of both directions.
    ledger : Ledger
        Takes a row for each message.
    also_codecs : sequence of str
        Lossless codecs that every message is coded with as well, for comparison. What they give
        is measured, entered into `also_ledgers`, and thrown away.
    memory : bool
        Payloads may lean on what their receiver is known to hold. Without, every broadcast stands
        alone, and replies lean on nothing but the broadcast that they answer.
    feedback : bool
        What a lossy codec loses is added to what its sender sends next.

    Raises
    ------
    CodecError
        When a codec is unknown or not installed, or when a lossy one is to be compared.
    """

    codec: str
    ledger: Ledger = field(default_factory=Ledger)
    also_codecs: Sequence[str] = ()
    memory: bool = True
    feedback: bool = False
    partitions: dict[int, int] = field(default_factory=dict)
    round: int = 0
    kind: Kind = "init"

    def __post_init__(self) -> None:
        get_codec(self.codec)  # a bad spec fails here, before anything is sent
        for spec in self.also_codecs:
            if not (get_codec(spec).lossless and get_codec(self.codec).lossless):
                raise CodecError(
                    f"also_codecs={spec} beside codec={self.codec}: only lossless codecs can be "
                    "compared on one training; run the lossy one by itself"
                )
        self.also_ledgers = {spec: Ledger() for spec in self.also_codecs}
        self.known = ServerMemory()
        self._broadcasts: dict[tuple[int, bytes | None], tuple[object, Broadcast]] = {}
        self._answered: set[int] = set()
        self._sent: dict[int, tuple[Entry, dict[str, Broadcast]]] = {}

    def begin(self, server_round: int, kind: Kind) -> None:
        """Start an exchange of messages; what the last one remembered is dropped."""
        for node in set(self._sent) - self._answered:
            self.known.forget(self.holder(node))
        self._answered.clear()
        self.round, self.kind = server_round, kind
        self._broadcasts.clear()
        self._sent.clear()

    def holder(self, node: int) -> str:
        """Return the name under which the memory knows a node."""
        partition = self.partitions.get(node, -1)
        return f"node {node}" if partition < 0 else f"partition {partition}"

    def strangers(self, nodes: Iterable[int]) -> list[int]:
        """Return the nodes that may hold something, if only it were known who they are."""
        return [n for n in nodes if self.known.held and self.partitions.get(n, -1) < 0]

    @property
    def note(self) -> str:
        """What the mod of a client is told: the codec of its reply, and whether to feed back."""
        return reply_order(self.codec, feedback=self.feedback)

    def broadcast(
        self, source: object, read: Callable[[], Arrays], node: int, record: str
    ) -> tuple[Broadcast, bool]:
        """Encode what `read` returns for a node.

        Done once for each distinct `source` object of an exchange and each distinct broadcast that
        its receivers hold, so once where they all hold the same.

        Returns the broadcast and whether it was encoded by this call.
        """
        held = self.known.base_of(self.holder(node), record) if self.memory else None
        key = (id(source), held)
        if key not in self._broadcasts:
            # The source is kept alive beside its broadcast, so that its id stays its own.
            self._broadcasts[key] = (source, self._encode(read(), held))
            return self._broadcasts[key][1], True
        return self._broadcasts[key][1], False

    def _encode(self, arrays: Arrays, held: bytes | None) -> Broadcast:
        earlier = None if held is None else self.known.broadcasts[held]
        if earlier is not None and Template.of(earlier.arrays).hash != Template.of(arrays).hash:
            earlier = None
        base = None if earlier is None else earlier.arrays
        encode = partial(encode_payload, base=base, self_contained=base is None)
        residual: Arrays = {}
        if self.feedback:
            before = None if earlier is None else earlier.residual
            feed = partial(encode_with_feedback, arrays, before, codec=self.codec, base=base)
            (payload, residual), seconds = _timed(partial(feed, self_contained=base is None))
        else:
            payload, seconds = _timed(partial(encode, arrays, codec=self.codec))
        template = Template.of(arrays)
        decoded = decode_payload(
            payload, template=template, base=base, max_bytes=template.nbytes, writable=False
        )
        others = {spec: _timed(partial(encode, arrays, codec=spec)) for spec in self.also_codecs}
        name = name_of(decoded)
        if self.memory:
            self.known.remember(name, Remembered(decoded, residual))
        return Broadcast(name, payload, decoded, template, seconds, others)

    def sent(
        self, node: int, broadcasts: Mapping[str, tuple[Broadcast, bool]], content: RecordDict
    ) -> None:
        """Enter a message from the server into the ledger.

        `broadcasts` gives, for each record of arrays in `content`, what it carries and whether it
        was encoded for this message.
        """
        entry = self.carried("down", node, message_bytes(content))
        for spec, row in {self.codec: entry.row, **entry.twins}.items():
            row.encode_s = 0.0
            own = row is entry.row
            changed = RecordDict() if own else copy_content(content)
            for name, (broadcast, encoded_now) in broadcasts.items():
                info, seconds = broadcast.info, broadcast.encode_s
                if not own:
                    payload, seconds = broadcast.others[spec]
                    info = describe_payload(payload)
                    changed.array_records[name] = payload_record(payload)
                _count(row, info, *broadcast.counts)
                row.encode_s += seconds if encoded_now else 0.0
            if not own:
                take_note(changed)
                put_note(changed, reply_order(spec, feedback=self.feedback))
                row.message_bytes = message_bytes(changed)
        held = {name: broadcast for name, (broadcast, _) in broadcasts.items()}
        self._sent[node] = (entry, held)

    def answered(
        self, node: int, note: object, weight: int, *, content: RecordDict | None = None
    ) -> Entry:
        """Enter a reply into the ledger and learn from its note.

        Parameters
        ----------
        node : int
            The sender.
        note : object
            What its mod says.
        weight : int
            Bytes of the reply in transport.
        content : RecordDict, optional
            What it carries, needed where other codecs are compared.

        Raises
        ------
        PayloadError
            When the note is malformed or missing.
        """
        entry = self.carried("up", node, weight)
        entry.content = content
        if note is None:
            raise PayloadError("the reply carries no note: list compression_mod in the mods")
        learnt = ReplyNote.from_bytes(note)
        self.learn(node, learnt.partition)
        entry.set_client(learnt.partition)
        entry.row.encode_s = learnt.encode_s
        self._answered.add(node)
        if node in self._sent:
            down, broadcasts = self._sent[node]
            down.row.decode_s = learnt.decode_s
            for record, broadcast in broadcasts.items():
                self.known.confirm(self.holder(node), record, broadcast.name)
        return entry

    def learn(self, node: int, partition: int) -> None:
        """Remember the partition of a node, and name it in the row of what it was sent."""
        self.partitions[node] = partition
        if node in self._sent:
            self._sent[node][0].set_client(partition)

    def unanswered(self) -> list[int]:
        """Return the nodes of this exchange whose partition is still unknown."""
        return [node for node, (entry, _) in self._sent.items() if entry.row.client < 0]

    def reply(
        self, node: int, payload: bytes, expected: Template | None = None, *, record: str = ""
    ) -> CodedReply:
        """Return a reply's payload with what it must hold and what it may lean on.

        Parameters
        ----------
        node : int
            The sender.
        payload : bytes
            Its coded blob.
        expected : Template or None
            What the reply must hold; None expects what the broadcast held.
        record : str
            Name of the record of arrays, where a message carries several.
        """
        held = self._held(node, record)
        base = held.known_base if held is not None and held.base else None
        if expected is not None:
            return CodedReply(payload, expected, base, expected.nbytes)
        if held is None:
            return CodedReply(payload, None, base, INIT_MAX_BYTES)
        return CodedReply(payload, held.template, base, held.template.nbytes).with_float_types()

    def check(self, entry: Entry, reply: CodedReply, *, record: str = "") -> Array | None:
        """Decode a reply once, fill in its row, and refuse what must not be aggregated.

        Returns its survivors where they are all that it holds, see ``CodedReply.survivors``.

        Raises
        ------
        PayloadError
            When the payload is corrupt, of another shape, or holds a value that is not finite.
        """
        row = entry.row
        try:
            (*counts, survivors), seconds = _timed(reply.check)
        except PayloadError:
            row.payload_bytes += len(reply.payload)  # these bytes travelled; nothing else counts
            raise
        row.decode_s = seconds if math.isnan(row.decode_s) else row.decode_s + seconds
        _count(row, reply.info, *counts)
        if entry.twins:
            self._compare(entry, reply.arrays(), record)
        return survivors

    def carried(
        self, direction: Direction, node: int, weight: int, *, kind: Kind | None = None
    ) -> Entry:
        """Enter a message into the ledger with its bytes in transport, and return its entry."""
        row = MessageRow(
            round=self.round,
            client=self.partitions.get(node, -1),
            direction=direction,
            kind=self.kind if kind is None else kind,
            codec=self.codec,
            message_bytes=weight,
        )
        twins = {
            spec: ledger.add(replace(row, codec=spec)) for spec, ledger in self.also_ledgers.items()
        }
        return Entry(node, self.ledger.add(row), twins)

    def _held(self, node: int, record: str) -> Broadcast | None:
        return base_for(self._sent[node][1], record) if node in self._sent else None

    def _compare(self, entry: Entry, arrays: Arrays, record: str) -> None:
        """Code a reply's arrays with the other codecs and enter what that weighs."""
        held = self._held(entry.node, record)
        base = None if held is None else held.base
        template = Template.of(arrays)
        for spec, row in entry.twins.items():
            encode = partial(encode_reply, arrays, codec=spec, base=base)
            payload, row.encode_s = _timed(encode)
            decode = partial(decode_payload, payload, template=template, base=base)
            _, row.decode_s = _timed(decode)
            _count(row, describe_payload(payload), *_counts(arrays))
            changed = copy_content(entry.content or RecordDict())
            for name in changed.array_records:
                if name == record or not record:
                    changed.array_records[name] = payload_record(payload)
            row.message_bytes = message_bytes(changed)


Result = TypeVar("Result")


def _timed(call: Callable[[], Result]) -> tuple[Result, float]:
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def _counts(arrays: Arrays) -> tuple[int, int]:
    """Return the number of parameters and of those that are not zero."""
    nonzero = sum(int(np.count_nonzero(array != 0)) for array in arrays.values())
    return sum(array.size for array in arrays.values()), nonzero


def _count(row: MessageRow, info: PayloadInfo, parameters: int, nonzero: int) -> None:
    sizes = info.sizes
    if row.codec.startswith("auto") and info.codec_label not in row.codec:
        row.codec = f"{row.codec} > {info.codec_label}"  # what was chosen
    row.parameters += parameters
    row.nonzero += nonzero
    row.dense_bytes += 4 * parameters
    row.payload_bytes += sizes.header_bytes + sizes.mask_bytes + sizes.value_bytes
    row.mask_bytes += sizes.mask_bytes
    row.value_bytes += sizes.value_bytes
