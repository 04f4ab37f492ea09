"""The header of a payload: codec, template, base, array table and sizes."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO

from flwr_gan.errors import PayloadError
from flwr_gan.wire.base import BASE_HASH_BYTES
from flwr_gan.wire.checksum import crc32
from flwr_gan.wire.codecs.base import BaseNeed, Body, Codec
from flwr_gan.wire.codecs.pieces import Pieces, write_piece
from flwr_gan.wire.codecs.varint import ByteReader, write_varint
from flwr_gan.wire.stages.pipeline import from_wire, wire_numbers
from flwr_gan.wire.stages.registry import MAX_PARAMETER
from flwr_gan.wire.template import HASH_BYTES, Template

MAGIC = b"FGN"
VERSION = 2

MAX_TEMPLATE_BYTES = 1 << 22
"""Default limit of the length of a serialised template."""

BY_HASH, IN_FULL, DEFLATED, OF_BASE = 0, 1, 2, 3
"""How a payload gives its template: bits 0 and 1 of the flags (permanent)."""

_TEMPLATE = 0x03
_BASE_NEEDS: tuple[BaseNeed, ...] = ("none", "mask", "values")
_BASE_SHIFT = 2
_STRICT, _TABLE = 0x10, 0x20
_KNOWN_FLAGS = 0x3F
_STAGES_SHIFT = 5
_CRC_BYTES = 4
_MAX_BODIES = 5
_DEFLATED_FROM = 512
"""Shorter templates are never deflated, so that small payloads do not depend on zlib's version."""


@dataclass(frozen=True)
class PayloadSizes:
    """Sizes of the parts of a payload; ``header + mask + values`` is its length."""

    header_bytes: int
    mask_bytes: int
    value_bytes: int


@dataclass(frozen=True)
class PayloadInfo:
    """The content of a payload's header.

    Parameters
    ----------
    codec : Codec
        Built from the numbers in the header; its level need not be the encoder's.
    template : Template or None
        The template, if the payload contains it.
    template_hash : bytes or None
        Its 8-byte hash; None if it is the base's template, which the base's name covers.
    base_need : {"none", "mask", "values"}
        What is needed of a base to decode.
    base_hash : bytes or None
        Name of that base.
    strict : bool
        True if the sign of zeros was kept.
    sizes : PayloadSizes
        Sizes of the parts.
    table : bytes
        The array table, empty if there is none; see ``flwr_gan.wire.table``.
    bodies : tuple of Body
        The codec's output: one body, or with a table one for each bundle of arrays and one of
        corrections.
    crc32 : int
        The checksum of all bytes before it; the last 4 bytes of the payload.
    """

    codec: Codec
    template: Template | None
    template_hash: bytes | None
    base_need: BaseNeed
    base_hash: bytes | None
    strict: bool
    sizes: PayloadSizes
    table: bytes = field(repr=False)
    bodies: tuple[Body, ...] = field(repr=False)
    template_at: int = field(repr=False)
    template_end: int = field(repr=False)
    crc32: int = field(repr=False)

    @property
    def body(self) -> Body:
        """The first body."""
        return self.bodies[0]

    @property
    def codec_label(self) -> str:
        """Stage and name of the codec, without its level, which only the encoder knows."""
        *stages, last = self.codec.spec.split("+")
        return "+".join([*stages, last.split(":")[0]])


def write_payload(
    codec: Codec,
    template: Template,
    bodies: Sequence[Body],
    *,
    table: bytes,
    base_need: BaseNeed,
    base_name: bytes,
    template_of_base: bool,
    self_contained: bool,
    strict: bool,
) -> bytes:
    """Join header, masks, values and checksum to a payload; several bodies need a table.

    ``template_of_base``: the template is the base's and is not sent. Any other template is sent in
    full if ``self_contained``, else as its hash. ``base_name`` is empty if no base is needed.
    """
    codec_id, stages = wire_numbers(codec)
    kind, written = BY_HASH, template.hash
    if template_of_base:
        kind, written = OF_BASE, b""
    elif self_contained:
        kind, written = _template_field(template)
    flags = kind | _BASE_NEEDS.index(base_need) << _BASE_SHIFT
    flags |= (_STRICT if strict else 0) | (_TABLE if table else 0)
    coded = bytearray(MAGIC)
    coded += bytes([VERSION, flags, codec_id | len(stages) << _STAGES_SHIFT])
    for stage in stages:
        coded += bytes([stage.wire_id]) + write_varint(stage.parameter)
    coded += written + base_name
    if table:
        coded += write_varint(len(table)) + table + write_varint(len(bodies))
        for body in bodies[:-1]:
            coded += write_varint(len(body.mask)) + write_varint(len(body.values))
    coded += write_varint(len(bodies[-1].mask))
    return seal(bytes(coded), *(b.mask for b in bodies), *(b.values for b in bodies))


def _template_field(template: Template) -> tuple[int, bytes]:
    full = template.to_bytes()
    plain = write_varint(len(full)) + full
    if len(full) < _DEFLATED_FROM:
        return IN_FULL, plain
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = squeezer.compress(full) + squeezer.flush()
    deflated = write_varint(len(full)) + write_varint(len(data)) + data
    return (DEFLATED, deflated) if len(deflated) < len(plain) else (IN_FULL, plain)


def embed_template(payload: bytes, template: Template | None) -> bytes:
    """Return the payload with its full template, for a file.

    Raises ``PayloadError`` if the payload is damaged, or the template is missing or wrong.
    """
    info = describe_payload(payload)
    if template and info.template_hash and template.hash != info.template_hash:
        raise PayloadError("the template given is not the payload's")
    if info.template is not None:
        return payload
    if template is None:
        raise PayloadError("payload does not hold its template; pass template=")
    kind, written = _template_field(template)
    flags_at = len(MAGIC) + 1
    front = bytearray(payload[: info.template_at])
    front[flags_at] = front[flags_at] & ~_TEMPLATE | kind
    return seal(bytes(front), written, payload[info.template_end : -_CRC_BYTES])


def seal(*parts: bytes | memoryview | Pieces) -> bytes:
    """Return the parts, joined, followed by their CRC-32 (4 bytes, little-endian).

    Pieces are consumed one after the other, so that their bytes are never in memory twice.
    """
    checksum, at = 0, 0
    joined = BytesIO(bytes(sum(map(len, parts)) + _CRC_BYTES))
    # This is the only reference to the bytes, so the buffer returns them without a copy.
    with joined.getbuffer() as view:
        for part in parts:
            for piece in part.taken() if isinstance(part, Pieces) else (part,):
                end = write_piece(piece, view, at)
                checksum = crc32(view[at:end], checksum)
                at = end
        view[at:] = checksum.to_bytes(_CRC_BYTES, "little")
    return joined.getvalue()


def describe_payload(
    payload: bytes, *, max_template_bytes: int = MAX_TEMPLATE_BYTES
) -> PayloadInfo:
    """Read the header of a payload and check its checksum, without decoding arrays.

    Parameters
    ----------
    payload : bytes
        A payload of ``encode_payload``, or any bytes: nothing in it is trusted.
    max_template_bytes : int
        Longest serialised template to read; a template takes some ten times that in memory.

    Raises
    ------
    PayloadError
        If this is no payload, is damaged, or has another format version.
    """
    payload = bytes(payload)
    reader = ByteReader(_checked(payload), what="payload")
    reader.take(len(MAGIC) + 1)
    flags = reader.byte()
    kind, need_number = flags & _TEMPLATE, flags >> _BASE_SHIFT & 3
    known = not flags & ~_KNOWN_FLAGS and need_number < len(_BASE_NEEDS)
    if not known or (kind == OF_BASE and not need_number):
        raise PayloadError(f"payload has flags {flags:#04x}, which this version does not know")
    need = _BASE_NEEDS[need_number]
    coding = reader.byte()
    count = coding >> _STAGES_SHIFT
    stages = tuple((reader.byte(), reader.varint(limit=MAX_PARAMETER)) for _ in range(count))
    codec = _codec(coding & ((1 << _STAGES_SHIFT) - 1), stages)
    end = len(payload) - _CRC_BYTES
    template_at = end - reader.left
    template = template_hash = None
    if kind == BY_HASH:
        template_hash = bytes(reader.take(HASH_BYTES))
    elif kind != OF_BASE:
        template = _read_template(reader, kind, max_template_bytes)
        template_hash = template.hash
    template_end = end - reader.left
    base_name = None if need == "none" else bytes(reader.take(BASE_HASH_BYTES))
    table, lengths = _read_table_field(reader) if flags & _TABLE else (b"", [])
    last_mask = reader.varint(limit=reader.left)
    masks = [bytes(reader.take(mask)) for mask, _ in lengths] + [bytes(reader.take(last_mask))]
    # Views, not copies: the parts may be kept together with the payload.
    values = [reader.take(length) for _, length in lengths] + [reader.rest()]
    mask_bytes, value_bytes = sum(map(len, masks)), sum(map(len, values))
    return PayloadInfo(
        codec=codec,
        template=template,
        template_hash=template_hash,
        base_need=need,
        base_hash=base_name,
        strict=bool(flags & _STRICT),
        sizes=PayloadSizes(len(payload) - mask_bytes - value_bytes, mask_bytes, value_bytes),
        table=table,
        bodies=tuple(Body(*both, need) for both in zip(masks, values, strict=True)),
        template_at=template_at,
        template_end=template_end,
        crc32=int.from_bytes(payload[end:], "little"),
    )


def _checked(payload: bytes) -> memoryview:
    """Return the bytes before the checksum, after checking it and the version."""
    if payload[: len(MAGIC)] != MAGIC[: len(payload)] or not payload:
        raise PayloadError("these bytes are no flwr_gan payload: they do not begin with FGN")
    if len(payload) < len(MAGIC) + 1 + _CRC_BYTES:
        raise PayloadError(f"payload is truncated: it has {len(payload)} bytes")
    version = payload[len(MAGIC)]
    if version != VERSION:
        remedy = "upgrade flwr_gan" if version > VERSION else "encode the arrays again"
        raise PayloadError(
            f"payload is of format version {version}; this version of flwr_gan reads version "
            f"{VERSION}: {remedy}"
        )
    data, checksum = memoryview(payload)[:-_CRC_BYTES], payload[-_CRC_BYTES:]
    if crc32(data).to_bytes(_CRC_BYTES, "little") != checksum:
        raise PayloadError("payload is truncated or damaged: its checksum does not match")
    return data


def _read_template(reader: ByteReader, kind: int, limit: int) -> Template:
    length = reader.varint(limit=1 << 62)
    if length > limit:
        raise PayloadError(f"template has {length} bytes; max_template_bytes={limit}")
    if kind == IN_FULL:
        return Template.from_bytes(reader.take(length))
    inflater = zlib.decompressobj(-15)
    data = bytes(reader.take(reader.varint(limit=reader.left)))
    try:
        full = inflater.decompress(data, length + 1)
    except zlib.error as error:
        raise PayloadError(f"template is damaged: {error}") from error
    if len(full) != length or not inflater.eof or inflater.unused_data:
        raise PayloadError(f"template does not inflate to exactly {length} bytes")
    return Template.from_bytes(full)


def _read_table_field(reader: ByteReader) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the array table and the lengths of mask and values of all bodies but the last."""
    table = bytes(reader.take(reader.varint(limit=reader.left)))
    if not table:
        raise PayloadError("payload has an array table of no bytes")
    count = reader.varint(limit=_MAX_BODIES)
    if not count:
        raise PayloadError("payload has no coded arrays")
    pairs = range(count - 1)
    return table, [
        (reader.varint(limit=reader.left), reader.varint(limit=reader.left)) for _ in pairs
    ]


@lru_cache(maxsize=64)
def _codec(codec_id: int, stages: tuple[tuple[int, int], ...]) -> Codec:
    """Return the codec that a header names; cached, as a server reads many equal headers."""
    return from_wire(codec_id, stages)
