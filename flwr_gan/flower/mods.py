"""The client's half of the wire: a mod that decodes what comes in and codes what goes out."""

import time

from flwr.app import Context, Message, RecordDict
from flwr.app.error import Error
from flwr.clientapp.typing import ClientAppCallable
from flwr.common import Code, GetPropertiesRes, Status
from flwr.common.constant import ErrorCode
from flwr.compat.common.recorddict_compat import getpropertiesres_to_recorddict

from flwr_gan.codecs import get_codec
from flwr_gan.errors import PayloadError
from flwr_gan.flower.memory import ClientMemory
from flwr_gan.flower.notes import QUERY, ReplyNote, put_note, read_order, take_note
from flwr_gan.flower.records import (
    Arrays,
    arrays_to_record,
    copy_content,
    payload_of,
    payload_record,
    view_arrays,
)
from flwr_gan.flower.reply_encoding import (
    base_for,
    encode_reply,
    encode_reply_with_feedback,
)


def compression_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Decode the arrays of a message for the client, and encode those of its reply.

    The server names the codec in the message, so the mod has no settings; a message from a server
    without the wrapper passes through untouched. The arrays that came in serve as the base that a
    reply may refer to: both sides hold them; they are remembered in ``context.state``, so that the
    next broadcast may refer to them too. A broadcast that refers to something else is answered
    with the error ``unknown_base``, and the server sends the next one in full. Works with the
    legacy API and the message API::

        app = ClientApp(client_fn, mods=[compression_mod])

    Raises
    ------
    PayloadError
        When the server's note is malformed; a payload that cannot be decoded becomes an error
        reply.
    """
    content = copy_content(message.content)
    note = take_note(content)
    if note is None:
        return call_next(message, context)
    codec, feedback = read_order(note)
    partition = int(str(context.node_config.get("partition-id", -1)))
    if codec == QUERY:
        return Message(_introduction(content, partition), reply_to=message)

    memory = ClientMemory(context, values=not get_codec(codec).general)
    started = time.perf_counter()
    held: dict[str, Arrays] = {}
    for name, record in content.array_records.items():
        try:
            held[name] = memory.decode(payload_of(record), name)
        except PayloadError as error:
            refusal = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, str(error))
            return Message(refusal, reply_to=message)
        content.array_records[name] = arrays_to_record(held[name])
    decode_s = time.perf_counter() - started
    message.content = content

    reply = call_next(message, context)
    if not reply.has_content():
        return reply
    started = time.perf_counter()
    answer = copy_content(reply.content)
    for name, record in answer.array_records.items():
        arrays, base = view_arrays(record), base_for(held, name)
        if feedback:
            before = memory.residual(name)
            payload, residual = encode_reply_with_feedback(arrays, before, codec=codec, base=base)
            memory.save_residual(name, residual)
        else:
            payload = encode_reply(arrays, codec=codec, base=base)
        answer.array_records[name] = payload_record(payload)
    encode_s = time.perf_counter() - started
    put_note(answer, ReplyNote(partition, encode_s, decode_s).to_bytes())
    reply.content = answer
    return reply


def _introduction(query: RecordDict, partition: int) -> RecordDict:
    """Return the answer to a query for the partition, in the API in which it was asked."""
    if "getpropertiesins.config" in query.config_records:
        status = Status(Code.OK, "")
        return getpropertiesres_to_recorddict(GetPropertiesRes(status, {"partition-id": partition}))
    answer = RecordDict()
    put_note(answer, ReplyNote(partition).to_bytes())
    return answer
