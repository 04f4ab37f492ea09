"""The header of a payload: what it says of the codec, the template and the base."""

from dataclasses import dataclass, field
from functools import lru_cache

from flwr_gan.codecs.base import BaseNeed, Body, Codec
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.compress.pipeline import from_wire, wire_numbers
from flwr_gan.compress.registry import MAX_PARAMETER
from flwr_gan.errors import PayloadError
from flwr_gan.wire.base_hash import BASE_HASH_BYTES
from flwr_gan.wire.template import HASH_BYTES, Template

try:
    from isal.isal_zlib import crc32  # the same number, sooner
except ImportError:  # the extra `fast` is not installed
    from zlib import crc32

MAGIC = b"FGN"
VERSION = 1

_SELF_CONTAINED = 0x01
_BASE_NEEDS: tuple[BaseNeed, ...] = ("none", "mask", "values")
_BASE_SHIFT = 1
_STRICT = 0x08
_KNOWN_FLAGS = 0x0F
_STAGES_SHIFT = 5
_CRC_BYTES = 4


@dataclass(frozen=True)
class PayloadSizes:
    """Where the bytes of a payload are; ``header + mask + values`` is its length."""

    header_bytes: int
    mask_bytes: int
    value_bytes: int


@dataclass(frozen=True)
class PayloadInfo:
    """What the header of a payload says.

    Parameters
    ----------
    codec : Codec
        Built from the numbers in the header; its level need not be the encoder's.
    template : Template or None
        The template, if it travels in full.
    template_hash : bytes or None
        Its 8-byte hash; None if only the name of the base tells, which covers the template.
    base_need : {"none", "mask", "values"}
        What of a base is needed to decode.
    base_hash : bytes or None
        Name of that base.
    strict : bool
        True if zeros kept their sign.
    sizes : PayloadSizes
        Where the bytes are.
    """

    codec: Codec
    template: Template | None
    template_hash: bytes | None
    base_need: BaseNeed
    base_hash: bytes | None
    strict: bool
    sizes: PayloadSizes
    body: Body = field(repr=False)
    template_at: int = field(repr=False)

    @property
    def codec_label(self) -> str:
        """Stage and name of the codec, without its level, which is the encoder's business."""
        *stages, last = self.codec.spec.split("+")
        return "+".join([*stages, last.split(":")[0]])


def write_payload(
    codec: Codec,
    template: Template,
    body: Body,
    *,
    base_name: bytes,
    self_contained: bool,
    strict: bool,
) -> bytes:
    """Join header, mask, values and checksum to a payload.

    Parameters
    ----------
    codec : Codec
        What coded the body.
    template : Template
        Of the arrays.
    body : Body
        The coded arrays.
    base_name : bytes
        Hash of the base that the body leans on; empty if it leans on none.
    self_contained : bool
        Write the template in full, not its hash alone.
    strict : bool
        Zeros kept their sign.
    """
    codec_id, stages = wire_numbers(codec)
    flags = _BASE_NEEDS.index(body.base_need) << _BASE_SHIFT
    flags |= _SELF_CONTAINED if self_contained else 0
    flags |= _STRICT if strict else 0
    coded = bytearray(MAGIC)
    coded += bytes([VERSION, flags, codec_id | len(stages) << _STAGES_SHIFT])
    for stage in stages:
        coded += bytes([stage.wire_id]) + write_varint(stage.parameter)
    if self_contained:
        coded += _template_field(template)
    elif not base_name:
        coded += template.hash
    coded += base_name + write_varint(len(body.mask))
    return seal(bytes(coded), body.mask, body.values)


def _template_field(template: Template) -> bytes:
    full = template.to_bytes()
    return write_varint(len(full)) + full


def embed_template(payload: bytes, template: Template | None) -> bytes:
    """Return the payload with its template in full, as a file holds it.

    Raises
    ------
    PayloadError
        If the payload is damaged, or the template is missing or another one's.
    """
    info = describe_payload(payload)
    if template and info.template_hash and template.hash != info.template_hash:
        raise PayloadError("the template given is not the payload's")
    if info.template is not None:
        return payload
    if template is None:
        raise PayloadError("payload has the hash of its template alone; pass template=")
    start = info.template_at
    flags_at = len(MAGIC) + 1
    front = bytearray(payload[:start])
    front[flags_at] |= _SELF_CONTAINED
    rest = payload[start + len(info.template_hash or b"") : -_CRC_BYTES]
    return seal(bytes(front) + _template_field(template) + rest)


def seal(*parts: bytes | memoryview) -> bytes:
    """Return the parts, joined, with their CRC-32 behind them, 4 bytes, little-endian."""
    checksum = 0
    for part in parts:
        checksum = crc32(part, checksum)
    return b"".join((*parts, checksum.to_bytes(_CRC_BYTES, "little")))


def describe_payload(payload: bytes) -> PayloadInfo:
    """Read the header of a payload, check its checksum, and decode no array.

    Raises
    ------
    PayloadError
        If this is no payload, it is damaged, or it comes from a newer version.
    """
    payload = bytes(payload)
    if payload[: len(MAGIC)] != MAGIC[: len(payload)] or not payload:
        raise PayloadError("these bytes are no flwr_gan payload: they do not begin with FGN")
    if len(payload) < len(MAGIC) + 1 + _CRC_BYTES:
        raise PayloadError(f"payload is truncated: it has {len(payload)} bytes")
    version = payload[len(MAGIC)]
    if version != VERSION:
        raise PayloadError(
            f"payload is of format version {version}; this version of flwr_gan reads version "
            f"{VERSION}: upgrade flwr_gan"
        )
    data, checksum = memoryview(payload)[:-_CRC_BYTES], payload[-_CRC_BYTES:]
    if crc32(data).to_bytes(_CRC_BYTES, "little") != checksum:
        raise PayloadError("payload is truncated or damaged: its checksum does not match")
    reader = ByteReader(data, what="payload")
    reader.take(len(MAGIC) + 1)
    flags = reader.byte()
    need_number = flags >> _BASE_SHIFT & 3
    if flags & ~_KNOWN_FLAGS or need_number >= len(_BASE_NEEDS):
        raise PayloadError(f"payload has flags {flags:#04x}, which this version does not know")
    coding = reader.byte()
    count = coding >> _STAGES_SHIFT
    stages = tuple((reader.byte(), reader.varint(limit=MAX_PARAMETER)) for _ in range(count))
    codec = _codec(coding & ((1 << _STAGES_SHIFT) - 1), stages)
    template_at = len(data) - reader.left
    need = _BASE_NEEDS[need_number]
    template = template_hash = None
    if flags & _SELF_CONTAINED:
        template = Template.from_bytes(reader.take(reader.varint(limit=reader.left)))
        template_hash = template.hash
    elif need == "none":
        template_hash = bytes(reader.take(HASH_BYTES))
    base_name = None if need == "none" else bytes(reader.take(BASE_HASH_BYTES))
    mask = bytes(reader.take(reader.varint(limit=reader.left)))
    values = reader.rest()  # not a copy: what is read of a payload may be kept beside it
    header = len(payload) - len(mask) - len(values)
    return PayloadInfo(
        codec=codec,
        template=template,
        template_hash=template_hash,
        base_need=need,
        base_hash=base_name,
        strict=bool(flags & _STRICT),
        sizes=PayloadSizes(header, len(mask), len(values)),
        body=Body(mask, values, need),
        template_at=template_at,
    )


@lru_cache(maxsize=64)
def _codec(codec_id: int, stages: tuple[tuple[int, int], ...]) -> Codec:
    """Return the codec that a header names; a server reads the same header again and again."""
    return from_wire(codec_id, stages)
