"""The client's half of the wire: a mod that decodes messages and encodes replies."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import numpy as np
from flwr.app import Context, Error, Message, RecordDict

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.flower.flwr_private import ClientAppCallable, ErrorCode
from flwr_gan.flower.memory import ClientMemory, name_of, record_key
from flwr_gan.flower.notes import EF21, Label, Order, ReplyNote, label_of, put_note, take_note
from flwr_gan.flower.packing import packed, unpacked
from flwr_gan.flower.progress import advanced, made
from flwr_gan.flower.records import (
    Arrays,
    Opaque,
    copy_content,
    is_payload,
    payload_record,
    payloads_of,
    read_record,
    write_record,
)
from flwr_gan.flower.settings import Selection, completed
from flwr_gan.wire import Template, encode_to_send
from flwr_gan.wire.codecs import get_codec

CLIENT_MAX_BYTES = 4 << 30
Held = TypeVar("Held")
Initial = Callable[[Context], Arrays | None]


class CompressionMod:
    """Decode the arrays of a message for the client, and code the arrays of its reply.

    The server names the codec in the message, so the mod needs no settings; a message from a server
    without the wire passes through unchanged. Replies are coded relative to the received arrays,
    which both sides hold; these are remembered in ``context.state``, so that the next broadcast may
    be coded relative to them too. If a broadcast has another base, the reply is the error
    ``unknown_base``, and the server sends the next broadcast in full. Works with the legacy API and
    the message API::

        app = ClientApp(client_fn, mods=[compression_mod])

    Mods that read arrays (differential privacy, clipping, SecAgg+) come after it in the list.

    Parameters
    ----------
    max_bytes : int
        Maximum total bytes of the arrays of a message, 4 GiB by default.
    initial : callable, optional
        ``initial(context)`` returns the named arrays of the first broadcast, computed from the
        run's seed, or None; in the legacy API their names are ``"0"``, ``"1"``, ... With the
        server's setting ``seeded_start`` only their hash is sent, to confirm them.

    Raises
    ------
    CodecError
        When `max_bytes` is not a whole number of at least 1.
    """

    def __init__(
        self, *, max_bytes: int = CLIENT_MAX_BYTES, initial: Initial | None = None
    ) -> None:
        if not isinstance(max_bytes, int) or max_bytes < 1:
            raise CodecError(f"max_bytes={max_bytes!r}: give a whole number of bytes, at least 1")
        self.max_bytes = max_bytes
        self.initial = initial

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Handle a message.

        A message that cannot be decoded gets an error reply.
        """
        try:
            content = unpacked(copy_content(message.content))
        except PayloadError as error:
            return Message(refusal(error), reply_to=message)
        note = take_note(content)
        if note is None:
            return call_next(message, context)
        label = label_of(context.node_config.get("partition-id"))
        memory = ClientMemory(context)
        started = time.perf_counter()
        held: dict[str, Arrays] = {}
        try:
            order = Order.from_record(note)
            for name, record in content.array_records.items():
                if is_payload(record):
                    held[name] = memory.decode(
                        payloads_of(record),
                        name,
                        keep=order.keep,
                        max_bytes=self.max_bytes,
                        initial=self.initial and partial(self.initial, context),
                    )
                    whole = _with_own(held[name], memory, name, order)
                    content.array_records[name] = write_record(
                        whole, order.opaque.get(name), name=name
                    )
        except (PayloadError, CodecError) as error:
            return Message(refusal(error), reply_to=message)
        decode_s = time.perf_counter() - started
        message.content = content

        reply = call_next(message, context)
        if reply.has_content():
            reply.content = packed(_coded(reply.content, memory, order, held, label, decode_s))
        return reply


compression_mod = CompressionMod()
"""The mod with its default bound."""


def refusal(error: Exception) -> Error:
    """Return the error reply to a message that cannot be read."""
    return Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error))


def base_for(held: Mapping[str, Held], record: str) -> str | None:
    """Return the name of the record that is the base of a reply's record.

    It is the record of the same name, or the only record; None if there is neither.
    """
    if record in held:
        return record
    return next(iter(held)) if len(held) == 1 else None


def _with_own(arrays: Arrays, memory: ClientMemory, record: str, order: Order) -> Arrays:
    """Return a broadcast with this node's own arrays for those that are not sent."""
    chosen = Selection(order.include, order.exclude)
    if chosen.takes_all:
        return arrays
    own, names = memory.left("own", record) or {}, memory.order(record)
    if not names:
        memory.save_order(record, list(arrays))
    travelled = {n: a for n, a in arrays.items() if chosen.takes(n) or n not in own}
    return completed(travelled, own, dict.fromkeys(names or arrays))


def _coded(
    content: RecordDict,
    memory: ClientMemory,
    order: Order,
    held: Mapping[str, Arrays],
    label: Label,
    decode_s: float,
) -> RecordDict:
    """Return a reply's content with payloads for its arrays, and a note."""
    started = time.perf_counter()
    answer = copy_content(content)
    chosen = Selection(order.include, order.exclude)
    opaque: dict[str, Opaque] = {}
    arrived_share = np.nan
    feedback = order.feedback is True and get_codec(order.codec).contractive
    went_on = False
    for name, record in answer.array_records.items():
        whole, entries = read_record(record)
        base_name = base_for(held, name)
        base = None if base_name is None else held[base_name]
        near, progress = base, None
        if order.feedback == EF21 and base is not None:
            progress = memory.left("progress", name)
            kept = order.progress.get(record_key(name))
            if progress is not None and name_of(progress).hex() != kept:
                progress = None  # one side has lost it
            near = advanced(base, progress)
            went_on = went_on or progress is not None
        if base_name is not None and (own := chosen.left_out(whole)):
            memory.leave("own", base_name, own)
        arrays = chosen.of(whole)
        template = Template.of(arrays).hash
        expected = {order.template} if base is None else {order.template, Template.of(base).hash}
        sent = encode_to_send(
            arrays,
            codec=order.codec,
            base=near,
            residual=memory.left("residual", name) if feedback else None,
            memory=memory.left("stages", name) if feedback else None,
            self_contained=template not in expected,
        )
        if order.feedback == EF21 and base is not None and arrays:
            memory.leave("progress", name, made(sent.decoded, base))
        if feedback and arrays:  # an empty reply keeps the last residual
            memory.leave("residual", name, sent.residual)
            memory.leave("stages", name, sent.memory)
        answer.array_records[name] = payload_record(sent.payload)
        opaque[name] = {key: entries[key] for key in arrays if key in entries}
        arrived_share = np.fmin(arrived_share, sent.arrived_share)
    note = ReplyNote(
        label=label,
        encode_s=time.perf_counter() - started,
        decode_s=decode_s,
        arrived_share=float(arrived_share),
        opaque=opaque,
        advanced=went_on,
    )
    put_note(answer, note)
    return answer
