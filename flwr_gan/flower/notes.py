"""Notes that the grid and the client's mod send with the payloads.

A note is one config record of a message, taken out before the client or the strategy sees the
message. Its length does not depend on measured times, so that equal runs have equal bytes.
"""

import json
import math
import struct
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, RecordDict

from flwr_gan.errors import PayloadError
from flwr_gan.flower.records import Opaque
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.stages.schedule import Schedule

NOTE = "flwr_gan.wire"
EF21 = "ef21"
"""The value of ``feedback`` that means EF21, see ``flwr_gan.flower.progress``."""

Label = int | str
"""A node's label for itself, its ``partition-id``: any word. It proves no identity."""

UNKNOWN: Label = -1
_FEEDBACK: dict[str, bool | str] = {"no": False, EF21: EF21}
_MEASURED = struct.Struct("<fff")


@dataclass(frozen=True, kw_only=True)
class Order:
    """The grid's note to the mod."""

    codec: str  # codec spec of the reply
    feedback: bool | str = True
    keep: str = ""  # what to remember of the broadcast: nothing, "template" or "values"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    template: bytes = b""  # hash of the template expected of a reply, if not the broadcast's
    progress: dict[str, str] = field(default_factory=dict)  # names of the EF21 progress
    opaque: dict[str, Opaque] = field(default_factory=dict)  # per record

    def to_record(self) -> ConfigRecord:
        """Return the order as a config record: its codec, and all values not at their default."""
        words = {
            "feedback": EF21 if self.feedback == EF21 else "" if self.feedback else "no",
            "progress": json.dumps(self.progress) if any(self.progress.values()) else "",
            "keep": self.keep,
            "include": "\n".join(self.include),
            "exclude": "\n".join(self.exclude),
            "template": self.template.hex(),
            "opaque": _opaque_text(self.opaque),
        }
        return ConfigRecord({"codec": self.codec, **{k: word for k, word in words.items() if word}})

    @classmethod
    def from_record(cls, record: ConfigRecord) -> "Order":
        """Read an order, or raise ``PayloadError``."""
        words = {key: str(value) for key, value in record.items()}
        if not words.get("codec"):
            raise PayloadError("the message carries a malformed note: it names no codec")
        try:
            template = bytes.fromhex(words.get("template", ""))
        except ValueError as error:
            raise PayloadError(f"the message carries a malformed note: {error}") from error
        return cls(
            codec=words["codec"],
            feedback=_FEEDBACK.get(words.get("feedback", ""), True),
            progress=_tokens_of(words.get("progress", "{}")),
            keep=words.get("keep", ""),
            include=tuple(words.get("include", "").split("\n")) if "include" in words else (),
            exclude=tuple(words.get("exclude", "").split("\n")) if "exclude" in words else (),
            template=template,
            opaque=_opaque_of(words.get("opaque", "")),
        )


@dataclass(frozen=True, kw_only=True)
class ReplyNote:
    """The mod's note to the grid."""

    label: Label = UNKNOWN
    encode_s: float = math.nan
    decode_s: float = math.nan
    arrived_share: float = math.nan  # share of a lossy change
    opaque: dict[str, Opaque] = field(default_factory=dict)
    advanced: bool = False  # payloads are relative to the broadcast plus the order's progress

    def to_record(self) -> ConfigRecord:
        """Return the note as a config record."""
        measured = _MEASURED.pack(self.encode_s, self.decode_s, self.arrived_share)
        record = ConfigRecord({"": measured + json.dumps(self.label).encode()})
        opaque = _opaque_text(self.opaque)
        if opaque:
            record["opaque"] = opaque
        if self.advanced:
            record["advanced"] = True
        return record

    @classmethod
    def from_record(cls, record: ConfigRecord) -> "ReplyNote":
        """Read a note, or raise ``PayloadError``."""
        data = record.get("")
        try:
            if not isinstance(data, bytes):
                raise TypeError("it is not bytes")
            encode_s, decode_s, share = _MEASURED.unpack(data[: _MEASURED.size])
            label = json.loads(data[_MEASURED.size :])
            if isinstance(label, bool) or not isinstance(label, int | str):
                raise TypeError("its label is no word or number")
        except (TypeError, ValueError, RecursionError, struct.error) as error:
            raise PayloadError("the reply carries a malformed note") from error
        return cls(
            label=label,
            encode_s=encode_s,
            decode_s=decode_s,
            arrived_share=share,
            opaque=_opaque_of(str(record.get("opaque", ""))),
            advanced=bool(record.get("advanced", False)),
        )


def keep_word(codec: str, *, memory: bool) -> str:
    """Return which part of a broadcast nodes must remember as a base of the next one.

    Codecs without a base need only names and shapes; a schedule needs the values if one of its
    codecs does.
    """
    if not memory:
        return ""
    takes_base = any(get_codec(spec).takes_base for spec in Schedule.of(codec).specs)
    return "values" if takes_base else "template"


def label_of(value: object) -> Label:
    """Return the label in a node's config; whole numbers stay numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return UNKNOWN if value is None or value == "" else str(value)


def take_note(content: RecordDict) -> ConfigRecord | None:
    """Remove the note from a message's content and return it, None when there is none."""
    return content.config_records.pop(NOTE, None)


def put_note(content: RecordDict, note: Order | ReplyNote) -> None:
    """Add a note to a message's content."""
    content.config_records[NOTE] = note.to_record()


def _tokens_of(text: str) -> dict[str, str]:
    """Read the names of a node's progress, or raise ``PayloadError``."""
    try:
        return {str(name): str(token) for name, token in json.loads(text).items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise PayloadError("the message carries a malformed note of progress") from error


def _opaque_text(opaque: dict[str, Opaque]) -> str:
    found = {name: dict(entries) for name, entries in opaque.items() if entries}
    return json.dumps(found, separators=(",", ":")) if found else ""


def _opaque_of(text: str) -> dict[str, Opaque]:
    """Read ``_opaque_text``, or raise ``PayloadError``."""
    try:
        found = json.loads(text or "{}")
        return {
            name: {
                key: (str(dtype), tuple(int(n) for n in shape), str(stype))
                for key, (dtype, shape, stype) in entries.items()
            }
            for name, entries in found.items()
        }
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise PayloadError("the message carries a malformed note of opaque entries") from error
