"""Lossless codecs: arrays to bytes and back, in bounded memory and with reproducible bytes."""

from flwr_gan.wire.codecs.arrays import ArraySpec
from flwr_gan.wire.codecs.base import DEFAULT_MAX_BYTES, Body, Codec
from flwr_gan.wire.codecs.library import GeneralCodec, WholeStream
from flwr_gan.wire.codecs.registry import codec_by_id, codec_names, get_codec

__all__ = [
    "DEFAULT_MAX_BYTES",
    "ArraySpec",
    "Body",
    "Codec",
    "GeneralCodec",
    "WholeStream",
    "codec_by_id",
    "codec_names",
    "get_codec",
]
