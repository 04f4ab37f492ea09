"""Words of specs: numbers and fractions in one form alone, and what is said of bad ones."""

import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.codecs.settings import Configured, Fraction, OneOf, Whole
from flwr_gan.wire.stages.registry import _STAGES, stage_by_id


@pytest.mark.parametrize("text", ["", "-1", "+1", "01", "1.0", " 1", "1_0", "x", "²", "9" * 5000])
def test_what_is_no_whole_number(text):
    assert Whole("size", 0, 1 << 40).read(text, Configured) is None


def test_whole_numbers_have_limits():
    assert [Whole("size", 2, 4).read(str(at), Configured) for at in range(6)] == [
        None, None, 2, 3, 4, None,
    ]  # fmt: skip


@pytest.mark.parametrize("steps", [1, 10, 2500, 3333, 9000, 9999])
def test_fractions_come_back(steps):
    fraction = Fraction("share")
    assert fraction.read(fraction.text(steps), Configured) == steps
    assert fraction.read(fraction.text(steps)[1:], Configured) == steps


def test_unknown_words_are_explained():
    class Shirt(Configured):
        name = "shirt"

    size = OneOf("size", ["small", "large"])
    assert size.read("small", Shirt) == "small"
    said = "unknown shirt size 'smal'; allowed: small, large; did you"
    with pytest.raises(CodecError, match=said):
        size.read("smal", Shirt)


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
        ("quantize:int1+sparse", "allowed: int8, int7"),
        ("quantize:int9+sparse", "did you mean 'int"),
        ("quantize:affine0+sparse", "affine1"),
        ("quantize:em9+sparse", "em8"),
        ("quantize:int8:row+sparse", "allowed: layer, channel, network"),
        ("quantize:int8:layer:2+sparse", "B from 2 to 8"),
        ("quantize+sparse", "allowed: quantize:intB"),
        ("binary:row+sparse", "allowed: layer, channel, network"),
        ("binary:layer:2+sparse", "allowed: binary, binary:layer"),
        ("ternary:chanel+sparse", "did you mean 'channel'"),
        ("ternary:layer:2+sparse", "allowed: ternary, ternary:layer"),
        ("binary+ternary+sparse", "2 stages that code weights"),
        ("codebook+sparse", "K from 2 to 256"),
        ("codebook:1+sparse", "'1' is no size; allowed: codebook:K[:SCOPE]"),
        ("codebook:257+sparse", "K from 2 to 256"),
        ("codebook:016+sparse", "is no size"),
        ("codebook:x+sparse", "is no size"),
        ("codebook:16:channel+sparse", "allowed: layer, network"),
        ("codebook:16:layer:2+sparse", "cannot be read"),
        ("prune+sparse", "F from 0.0001 to 0.9999"),
        ("prune:magnitude+sparse", "allowed: prune:CRITERION:F[:SCOPE]"),
        ("prune:magnitud:0.5+sparse", "did you mean 'magnitude'"),
        ("prune:magnitude:1+sparse", "'1' is no fraction; allowed"),
        ("prune:magnitude:0+sparse", "'0' is no fraction"),
        ("prune:magnitude:0.0+sparse", "is no fraction"),
        ("prune:magnitude:0.12345+sparse", "at most 4 decimals"),
        ("prune:magnitude:-0.5+sparse", "is no fraction"),
        ("prune:magnitude:nan+sparse", "is no fraction"),
        ("prune:magnitude:0.5:layer+sparse", "allowed: global, local"),
        ("prune:magnitude:0.5:local:2+sparse", "cannot be read"),
        ("quantize:int8+prune:magnitude:0.5+sparse", "prune must stand before quantize"),
        ("+".join(["prune:random:0.1"] * 8) + "+sparse", "at most 7"),
        ("lowrank+sparse", "allowed: lowrank:rank:R with R from 1 to 1024"),
        ("lowrank:rnk:3+sparse", "did you mean 'rank'"),
        ("lowrank:rank+sparse", "cannot be read"),
        ("lowrank:rank:0+sparse", "'0' is out of range"),
        ("lowrank:rank:1025+sparse", "R from 1 to 1024"),
        ("lowrank:rank:08+sparse", "out of range"),
        ("lowrank:energy:1+sparse", "E from 0.0001 to 0.9999"),
        ("lowrank:energy:0+sparse", "out of range"),
        ("lowrank:energy:0.9:2+sparse", "cannot be read"),
        ("quantize:int8+lowrank:rank:2+sparse", "lowrank must stand before quantize"),
        ("budget+sparse", "allowed: budget:bytes:N with N from 1 to 999999999"),
        ("budget:20000+sparse", "allowed: bytes, share"),
        ("budget:bytes:0+sparse", "'0' is out of range"),
        ("budget:share:1+sparse", "F from 0.0001 to 0.9999"),
        ("redundancy+sparse", "allowed: redundancy:N[:LAYOUT]"),
        ("redundancy:0+sparse", "'0' is out of range; allowed"),
        ("redundancy:1048577+sparse", "from 1 to 1048576"),
        ("redundancy:8x8+sparse", "'8x8' is out of range"),
        ("redundancy:64:transpose+sparse", "did you mean 'transposed'"),
        ("redundancy:64:conv:2+sparse", "cannot be read"),
        ("binary+redundancy:64+sparse", "redundancy must stand before binary"),
        ("hash+sparse", "allowed: hash:F[:sign]"),
        ("hash:1+sparse", "'1' is no fraction; allowed"),
        ("hash:0.12345+sparse", "at most 4 decimals"),
        ("hash:0.5:signs+sparse", "cannot be read; allowed"),
        ("hash:0.5:sign:2+sparse", "cannot be read; allowed"),
        ("quantize:int8+hash:0.5+sparse", "hash must stand before quantize"),
        ("flexpoint:16+sparse", "allowed: flexpoint, without settings"),
    ],
)
def test_bad_specs_are_explained(spec, said):
    with pytest.raises(CodecError) as caught:
        get_codec(spec)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        *(("prune", parameter) for parameter in (0, 1, 3, 40_000, (1 << 32) - 1)),
        *(("lowrank", parameter) for parameter in (0, 1, 1025 << 1, 10_000 << 1 | 1)),
        *(("budget", parameter) for parameter in (0, 1, 10**9 << 1, 10_000 << 1 | 1)),
        *(("redundancy", parameter) for parameter in (0, 1, ((1 << 20) + 1) << 1, (1 << 32) - 1)),
        *(("hash", parameter) for parameter in (0, 1, 20_000, (1 << 32) - 1)),
    ],
)
def test_unknown_settings_are_payload_errors(name, parameter):
    number = {known: number for known, number, _ in _STAGES}[name]
    with pytest.raises(PayloadError, match="does not know"):
        stage_by_id(number, parameter)
