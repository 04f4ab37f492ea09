"""What the strategy wrapper and the client mod say to each other beside the payload.

With the message API a note is a config record of its own. The legacy API drops records that it
does not know, so there the note is one key of the config (down) or metrics (up) dictionary. Either
way it is taken out before the client or the inner strategy sees the message, and its length does
not depend on measured times, so that equal runs weigh the same.
"""

import math
import struct
from dataclasses import dataclass

from flwr.app import ConfigRecord, RecordDict

from flwr_gan.errors import PayloadError

NOTE = "flwr_gan.wire"
QUERY = "?"  # asks a node for its partition; answered by the mod, never seen by the client

_LEGACY_RECORDS = (
    "fitins.config",
    "evaluateins.config",
    "getparametersins.config",
    "getpropertiesins.config",
    "fitres.metrics",
    "evaluateres.metrics",
)
_LEGACY_REPLIES_WITHOUT_METRICS = ("getparametersres.parameters",)
_REPLY = struct.Struct("<iff")


@dataclass(frozen=True)
class ReplyNote:
    """What the mod tells the server: its partition (-1 if it has none) and seconds spent coding."""

    partition: int
    encode_s: float = math.nan
    decode_s: float = math.nan

    def to_bytes(self) -> bytes:
        """Return the note in twelve bytes."""
        return _REPLY.pack(self.partition, self.encode_s, self.decode_s)

    @classmethod
    def from_bytes(cls, data: object) -> "ReplyNote":
        """Read a note.

        Raises
        ------
        PayloadError
            When `data` is no note.
        """
        if not isinstance(data, bytes) or len(data) != _REPLY.size:
            raise PayloadError("the reply carries a malformed note")
        return cls(*_REPLY.unpack(data))


def reply_order(codec: str, *, feedback: bool) -> str:
    """Return the note that orders a reply: its codec, and whether losses are fed back."""
    return f"{codec} feedback" if feedback else codec


def read_order(note: object) -> tuple[str, bool]:
    """Return codec and feedback of a note that orders a reply.

    Raises
    ------
    PayloadError
        When `note` is no such note.
    """
    if not isinstance(note, str):
        raise PayloadError("the message carries a malformed note")
    codec, _, rest = note.partition(" ")
    return codec, rest == "feedback"


def partition_in(note: object) -> int:
    """Return the partition that a reply's note names, -1 when it names none."""
    try:
        return ReplyNote.from_bytes(note).partition
    except PayloadError:
        return -1


def _holder(content: RecordDict) -> ConfigRecord | None:
    for name in _LEGACY_RECORDS:
        if name in content.config_records:
            return content.config_records[name]
    return None


def take_note(content: RecordDict) -> object | None:
    """Remove the note from a message's content and return it, None when there is none."""
    if NOTE in content.config_records:
        return content.config_records.pop(NOTE)[NOTE]
    holder = _holder(content)
    return None if holder is None else holder.pop(NOTE, None)


def peek_note(content: RecordDict) -> object | None:
    """Return the note of a message's content and leave it there."""
    if NOTE in content.config_records:
        return content.config_records[NOTE].get(NOTE)
    holder = _holder(content)
    return None if holder is None else holder.get(NOTE)


def put_note(content: RecordDict, note: str | bytes) -> None:
    """Add a note to a message's content, where the API in use has room for it."""
    holder = _holder(content)
    if holder is not None:
        holder[NOTE] = note
    elif not any(name in content.array_records for name in _LEGACY_REPLIES_WITHOUT_METRICS):
        content.config_records[NOTE] = ConfigRecord({NOTE: note})
