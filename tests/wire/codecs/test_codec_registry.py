"""Specs: what they name, and what is said of bad ones."""

import sys

import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs import codec_by_id, codec_names, get_codec
from flwr_gan.wire.codecs.registry import _CODECS, load


@pytest.mark.parametrize(
    ("spec", "full"),
    [
        ("raw", "raw"),
        ("zlib", "zlib:9"),
        ("zlib:1", "zlib:1"),
        ("lzma", "lzma:9"),
        ("bz2", "bz2:9"),
        ("zstd", "zstd:19"),
        ("zstd:22", "zstd:22"),
        ("pcodec", "pcodec:8"),
        ("sparse", "sparse"),
        ("sparse:pcodec", "sparse:pcodec"),
        ("sparse:int8", "quantize:int8:layer+sparse"),
        ("sparse:bf16", "cast:bf16+sparse"),
        ("auto", "auto"),
        ("auto:10", "auto:10"),
        ("auto:0.5", "auto:0.5"),
        ("quantize:int5+zlib", "quantize:int5:layer+zlib:9"),
    ],
)
def test_defaults_are_filled_in(spec, full):
    assert get_codec(spec).spec == full


def test_numbers_on_the_wire_are_unique_and_agree():
    numbers = [number for _, number, _ in _CODECS]
    assert len(set(numbers)) == len(numbers)
    for name, number, reference in _CODECS:
        load(reference)
        assert 0 <= number < 32
        if name in codec_names():
            assert codec_by_id(number).name == name
            assert codec_by_id(number).wire_id == number
    always = {"raw", "zlib", "lzma", "bz2", "zstd", "sparse"}
    assert always <= set(codec_names()) <= {name for name, _, _ in _CODECS}


def test_an_unknown_number_is_a_payload_error():
    with pytest.raises(PayloadError, match="codec number 31"):
        codec_by_id(31)


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pcodec", None)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "flwr_gan.wire.codecs.paq9a_model", raising=False)
    monkeypatch.delattr("flwr_gan.wire.codecs.paq9a_model", raising=False)
    for spec, extra in (("pcodec", "pcodec"), ("sparse:pcodec", "pcodec"), ("paq9a", "paq9a")):
        with pytest.raises(CodecError, match=rf"flwr-gan\[{extra}\]"):
            get_codec(spec)
    assert not {"pcodec", "paq9a"} & set(codec_names())
    with pytest.raises(PayloadError, match="coded with paq9a"):
        codec_by_id(6)
