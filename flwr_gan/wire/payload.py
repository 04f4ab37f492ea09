"""One message, one payload: named arrays to bytes and back. FORMAT.md has every byte."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flwr_gan.codecs.arrays import Array, check_encodable
from flwr_gan.codecs.base import DEFAULT_MAX_BYTES, BaseNeed, BaseUse, Body, Codec
from flwr_gan.codecs.registry import get_codec
from flwr_gan.codecs.varint import ByteReader, write_varint
from flwr_gan.compress.pipeline import from_wire, wire_numbers
from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.base_hash import BASE_HASH_BYTES, base_hash
from flwr_gan.wire.template import HASH_BYTES, Template

__all__ = [
    "DEFAULT_MAX_BYTES",
    "MAGIC",
    "VERSION",
    "PayloadInfo",
    "PayloadSizes",
    "decode_payload",
    "describe_payload",
    "embed_template",
    "encode_payload",
    "payload_sizes",
    "seal",
]

MAGIC = b"FGN"
VERSION = 1

_SELF_CONTAINED = 0x01
_BASE_NEEDS: tuple[BaseNeed, ...] = ("none", "mask", "values")
_BASE_SHIFT = 1
_STRICT = 0x08
_KNOWN_FLAGS = 0x0F
_STAGES_SHIFT = 5
_CRC_BYTES = 4
_BASE_USES = ("auto", "mask", "values", "derive")


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
    template_hash : bytes
        Its 8-byte hash.
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
    template_hash: bytes
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


def encode_payload(
    arrays: Mapping[str, Array],
    *,
    codec: str | Codec = "sparse",
    base: Mapping[str, Array] | None = None,
    base_use: BaseUse = "auto",
    self_contained: bool = True,
    strict: bool = False,
) -> bytes:
    """Code named arrays as one payload; the same arrays and settings give the same bytes.

    Parameters
    ----------
    arrays : mapping of str to numpy.ndarray
        Arrays of any shape and any dtype among bool, integers, floats and complex numbers.
    codec : str or Codec, default="sparse"
        A codec spec, such as ``"zlib:9"`` or ``"sparse:int8"``.
    base : mapping of str to numpy.ndarray, optional
        Arrays of the same template that the receiver holds, bit for bit.
    base_use : {"auto", "mask", "values", "derive"}, default="auto"
        What the payload may lean on: the base's zero pattern, differences to its values, the mask
        that pruning by its magnitudes gives, or whatever makes the payload smallest.
    self_contained : bool, default=True
        Put the template in the payload; otherwise its hash alone, and the receiver needs it.
    strict : bool, default=False
        Keep -0.0, which otherwise becomes +0.0.

    Raises
    ------
    CodecError
        If the codec is unknown, the arrays cannot be coded by it, or the base does not fit.
    """
    chosen = get_codec(codec) if isinstance(codec, str) else codec
    if base_use not in _BASE_USES:
        raise CodecError(f"base_use={base_use!r} is unknown; allowed: {', '.join(_BASE_USES)}")
    template = Template.of(arrays)
    ordered = [check_encodable(np.asarray(array)) for array in arrays.values()]
    held = None
    if base is not None:
        held = template.arrays_in_order(base)
        if held is None:
            raise CodecError("base does not have the names, shapes and dtypes of the arrays")
    if held is None and base_use != "auto":
        raise CodecError(f"base_use={base_use!r} needs a base")
    body = chosen.encode_bundle(ordered, strict=strict, base=held, base_use=base_use)
    codec_id, stages = wire_numbers(chosen)
    flags = _BASE_NEEDS.index(body.base_need) << _BASE_SHIFT
    flags |= _SELF_CONTAINED if self_contained else 0
    flags |= _STRICT if strict else 0
    coded = bytearray(MAGIC)
    coded += bytes([VERSION, flags, codec_id | len(stages) << _STAGES_SHIFT])
    for stage in stages:
        coded += bytes([stage.wire_id, stage.parameter])
    coded += _template_field(template) if self_contained else template.hash
    if held is not None and body.base_need != "none":
        coded += base_hash(held, body.base_need)
    coded += write_varint(len(body.mask)) + body.mask + body.values
    return seal(bytes(coded))


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
    if template is not None and template.hash != info.template_hash:
        raise PayloadError("the template given is not the payload's")
    if info.template is not None:
        return payload
    if template is None:
        raise PayloadError("payload has the hash of its template alone; pass template=")
    start = info.template_at
    flags_at = len(MAGIC) + 1
    front = bytearray(payload[:start])
    front[flags_at] |= _SELF_CONTAINED
    rest = payload[start + HASH_BYTES : -_CRC_BYTES]
    return seal(bytes(front) + _template_field(template) + rest)


def seal(data: bytes) -> bytes:
    """Return ``data`` with its CRC-32 behind it, 4 bytes, little-endian."""
    return data + zlib.crc32(data).to_bytes(_CRC_BYTES, "little")


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
    data, checksum = payload[:-_CRC_BYTES], payload[-_CRC_BYTES:]
    if zlib.crc32(data).to_bytes(_CRC_BYTES, "little") != checksum:
        raise PayloadError("payload is truncated or damaged: its checksum does not match")
    reader = ByteReader(data, what="payload")
    reader.take(len(MAGIC) + 1)
    flags = reader.byte()
    need_number = flags >> _BASE_SHIFT & 3
    if flags & ~_KNOWN_FLAGS or need_number >= len(_BASE_NEEDS):
        raise PayloadError(f"payload has flags {flags:#04x}, which this version does not know")
    coding = reader.byte()
    stages = [(reader.byte(), reader.byte()) for _ in range(coding >> _STAGES_SHIFT)]
    codec = from_wire(coding & ((1 << _STAGES_SHIFT) - 1), stages)
    template_at = len(data) - reader.left
    template = None
    if flags & _SELF_CONTAINED:
        template = Template.from_bytes(reader.take(reader.varint(limit=reader.left)))
        template_hash = template.hash
    else:
        template_hash = bytes(reader.take(HASH_BYTES))
    need = _BASE_NEEDS[need_number]
    base_name = None if need == "none" else bytes(reader.take(BASE_HASH_BYTES))
    mask = bytes(reader.take(reader.varint(limit=reader.left)))
    values = bytes(reader.rest())
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


def payload_sizes(payload: bytes) -> PayloadSizes:
    """Return header, mask and value bytes of a payload; they add up to its length.

    Raises
    ------
    PayloadError
        If this is no payload, it is damaged, or it comes from a newer version.
    """
    return describe_payload(payload).sizes


def decode_payload(
    payload: bytes,
    *,
    template: Template | None = None,
    base: Mapping[str, Array] | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> dict[str, Array]:
    """Decode a payload to named arrays, in order, writable, of the template's shapes and dtypes.

    Parameters
    ----------
    payload : bytes
        What ``encode_payload`` returned, or anything else: nothing in it is trusted.
    template : Template, optional
        What the arrays must be; needed where the payload has its hash alone.
    base : mapping of str to numpy.ndarray, optional
        The arrays that the payload may lean on.
    max_bytes : int
        Most bytes that the arrays may have together.

    Raises
    ------
    PayloadError
        If the payload cannot be decoded, whatever the reason. Where it leans on a base that was
        not given, or on another one, the message has the word ``unknown_base``.
    """
    info = describe_payload(payload)
    if template is not None and template.hash != info.template_hash:
        raise PayloadError("payload is of arrays with other names, shapes or dtypes than expected")
    known = template or info.template
    if known is None:
        raise PayloadError("payload has the hash of its template alone; pass template=")
    if known.nbytes > max_bytes:
        raise PayloadError(f"payload has arrays of {known.nbytes} bytes; max_bytes={max_bytes}")
    held = None
    if info.base_need != "none":
        held = _checked_base(info, known, base)
    decoded = info.codec.decode_bundle(info.body, known.specs, base=held)
    for name, array in zip(known.names, decoded, strict=True):
        if array.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise PayloadError(f"array {name} of bool has a byte that is neither 0 nor 1")
    return dict(zip(known.names, decoded, strict=True))


def _checked_base(
    info: PayloadInfo, template: Template, base: Mapping[str, Array] | None
) -> list[Array]:
    if base is None:
        raise PayloadError(
            f"unknown_base: payload needs the {info.base_need} of a base, none given"
        )
    held = template.arrays_in_order(base)
    if held is None or base_hash(held, info.base_need) != info.base_hash:
        raise PayloadError(f"unknown_base: payload needs the {info.base_need} of another base")
    return held
