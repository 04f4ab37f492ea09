"""The wire: named arrays to one payload and back; see FORMAT.md in this folder."""

from flwr_gan.wire.base import Base
from flwr_gan.wire.codecs.base import DEFAULT_MAX_BYTES
from flwr_gan.wire.file import load, save
from flwr_gan.wire.header import PayloadInfo, PayloadSizes, describe_payload
from flwr_gan.wire.payload import (
    decode_payload,
    decode_survivors,
    encode_payload,
    has_base_mask,
    payload_sizes,
)
from flwr_gan.wire.sent import Sent, encode_to_send, encode_with_feedback
from flwr_gan.wire.template import Template

__all__ = [
    "DEFAULT_MAX_BYTES",
    "Base",
    "PayloadInfo",
    "PayloadSizes",
    "Sent",
    "Template",
    "decode_payload",
    "decode_survivors",
    "describe_payload",
    "encode_payload",
    "encode_to_send",
    "encode_with_feedback",
    "has_base_mask",
    "load",
    "payload_sizes",
    "save",
]
