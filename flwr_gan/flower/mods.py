"""The client's half of the wire: a mod that decodes what comes in and codes what goes out."""

import time

from flwr.app import Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable
from flwr.common import Code, GetPropertiesRes, Status
from flwr.compat.common.recorddict_compat import getpropertiesres_to_recorddict

from flwr_gan.errors import PayloadError
from flwr_gan.flower.exchange import base_for, encode_reply
from flwr_gan.flower.notes import QUERY, ReplyNote, put_note, take_note
from flwr_gan.flower.records import (
    Arrays,
    arrays_to_record,
    copy_content,
    payload_of,
    payload_record,
    record_to_arrays,
)
from flwr_gan.wire import decode_payload


def compression_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Decode the arrays of a message for the client, and encode those of its reply.

    The server names the codec in the message, so the mod has no settings; a message from a server
    without the wrapper passes through untouched. The arrays that came in serve as the base that a
    reply may refer to: both sides hold them. Works with the legacy API and the message API::

        app = ClientApp(client_fn, mods=[compression_mod])

    Raises
    ------
    PayloadError
        When the server's payload cannot be decoded.
    """
    content = copy_content(message.content)
    codec = take_note(content)
    if codec is None:
        return call_next(message, context)
    if not isinstance(codec, str):
        raise PayloadError("the message carries a malformed note")
    partition = int(str(context.node_config.get("partition-id", -1)))
    if codec == QUERY:
        return Message(_introduction(content, partition), reply_to=message)

    started = time.perf_counter()
    held: dict[str, Arrays] = {}
    for name, record in content.array_records.items():
        held[name] = decode_payload(payload_of(record))
        content.array_records[name] = arrays_to_record(held[name])
    decode_s = time.perf_counter() - started
    message.content = content

    reply = call_next(message, context)
    if not reply.has_content():
        return reply
    started = time.perf_counter()
    answer = copy_content(reply.content)
    for name, record in answer.array_records.items():
        arrays = record_to_arrays(record)
        payload = encode_reply(arrays, codec=codec, base=base_for(held, name))
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
