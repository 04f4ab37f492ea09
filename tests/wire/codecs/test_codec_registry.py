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


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("zlip", "did you mean 'zlib'"),
        ("spares:int8", "did you mean 'sparse'"),
        ("", "allowed: raw, zlib"),
        ("zlib:10", "level 10 is out of range; allowed: zlib or zlib:LEVEL with LEVEL from 0 to 9"),
        ("zlib:", "cannot be read"),
        ("zlib:x", "cannot be read"),
        ("zlib:09", "cannot be read"),
        ("zlib:1:2", "cannot be read"),
        ("zstd:-1", "cannot be read"),
        ("bz2:0", "out of range"),
        ("raw:1", "takes no settings"),
        ("sparse:int7", "sparse:int8"),
        ("sparse:pcodec:3", "cannot be read"),
        ("quantise:int8+zlib", "did you mean 'quantize'"),
        ("quantize:int9+zlib", "did you mean 'int"),
        ("quantize:int8:chanel+zlib", "did you mean 'channel'"),
        ("quantize+zlib", "cannot be read"),
        ("cast+zlib", "cannot be read"),
        ("cast:fp8+zlib", "fp16"),
        ("quantize:int8+cast:fp16+zlib", "2 stages"),
        ("quantize:int8+sparse:int8", "two stages"),
        ("quantize:int8+sparse:pcodec", "use +sparse"),
        ("auto:0", "above 0 and at most 1e6 Mbit/s"),
        ("auto:nan", "above 0"),
        ("auto:fast", "allowed: auto, or auto:MBITS"),
        ("auto:1:2", "allowed: auto"),
        ("quantize:int8+auto", "unknown codec 'auto'"),
        (" zlib", "unknown codec"),
        (7, "not a string"),
    ],
)
def test_bad_specs_are_explained(spec, said):
    with pytest.raises(CodecError) as caught:
        get_codec(spec)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


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
