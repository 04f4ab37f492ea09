"""What a lossy codec loses of a change: a share of the change, whatever the size of the weights."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs import ArraySpec, get_codec
from flwr_gan.wire.codecs.base import Body
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.codecs.sparse.parts import KnownBase
from flwr_gan.wire.codecs.stage import differences
from flwr_gan.wire.stages import get_stage
from flwr_gan.wire.stages.blocks import BLOCK_LENGTH

LEAST = {8: 0.99, 6: 0.95, 4: 0.80}
"""Share of a change that has to arrive, by the bits of a code."""

RNG = np.random.default_rng(0)
COUNT = 100_000


def made(wide, change):
    held = RNG.normal(0, wide, COUNT)
    return held.astype(np.float32), (held.astype(np.float32) + change).astype(np.float32)


CHANGES = {
    "uniform": made(0.02, RNG.uniform(-3e-4, 3e-4, COUNT)),
    "normal": made(0.04, RNG.normal(0, 0.0013, COUNT)),
    "laplace": made(0.04, RNG.laplace(0, 0.0013, COUNT)),
    "student": made(0.04, 0.0013 * RNG.standard_t(3, COUNT)),
    "small": made(0.04, RNG.normal(0, 1e-6, COUNT)),
    "few": made(0.04, RNG.normal(0, 0.001, COUNT) * (RNG.random(COUNT) < 0.01)),
    "rows": made(
        0.04, (RNG.normal(size=(100, 1000)) * 10 ** RNG.uniform(-5, -2, (100, 1))).ravel()
    ),
}


def share(new, held, decoded):
    change = np.sum((new.astype(np.float64) - held) ** 2)
    return 1 - np.sum((new.astype(np.float64) - decoded) ** 2) / change


def there_and_back(spec, new, held, **options):
    codec = get_codec(spec)
    body = codec.encode_bundle([new], base=[held], **options)
    specs = [ArraySpec(new.shape, new.dtype)]
    (decoded,) = codec.decode_bundle(body, specs, base=[held])
    assert np.array_equal(decoded != 0, new != 0)
    if spec.endswith("sparse") and codec.survivors_are_all(body, specs):
        joined = codec.decode_survivors(body, specs, base=KnownBase([held]))
        assert np.array_equal(joined, decoded[held != 0])
    return body, decoded


def length(body):
    return len(body.mask) + len(body.values)


@pytest.mark.parametrize("bits", LEAST)
@pytest.mark.parametrize("behind", ["sparse", "zstd:3"])
@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_arrives(kind, behind, bits):
    held, new = CHANGES[kind]
    body, decoded = there_and_back(f"quantize:int{bits}:layer+{behind}", new, held)
    assert body.base_need == "values"
    assert share(new, held, decoded) >= LEAST[bits]
    assert length(body) < 1.1 * bits / 8 * COUNT


@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("granularity", ["channel", "network"])
def test_other_groups_are_measured_on_the_change(kind, granularity):
    held, new = (part.reshape(100, 1000) for part in CHANGES[kind])
    for bits, least in LEAST.items():
        spec = f"quantize:int{bits}:{granularity}+sparse"
        assert share(new, held, there_and_back(spec, new, held)[1]) >= least


OTHERS = {
    "quantize:affine8:layer": 0.99,
    "quantize:em4:channel": 0.95,
    "cast:fp16": 0.9999,
    "cast:bf16": 0.9999,
    "flexpoint": 0.99,
    "codebook:16:layer": 0.97,
    "ternary": 0.7,
    "binary": 0.6,
}


@pytest.mark.parametrize(("stage", "least"), OTHERS.items())
@pytest.mark.parametrize("behind", ["sparse", "zlib:6"])
def test_every_stage_codes_differences(stage, least, behind):
    held, new = (part[:20_000].reshape(100, 200) for part in CHANGES["normal"])
    body, decoded = there_and_back(f"{stage}+{behind}", new, held)
    assert body.base_need == "values"
    assert share(new, held, decoded) >= least


STAGES = ["quantize:int8", "quantize:int4:channel", "quantize:affine8", "binary", "cast:bf16"]


@pytest.mark.parametrize("stage", [*STAGES, "codebook:256:network", "flexpoint", "ternary"])
def test_no_change_takes_a_few_bytes_and_changes_nothing(stage):
    rng = np.random.default_rng(1)
    held = (rng.normal(size=(300, 50)) * (rng.random((300, 50)) < 0.5)).astype(np.float32)
    body, decoded = there_and_back(f"{stage}+sparse", held, held)
    assert length(body) <= 8
    assert np.array_equal(decoded, held)


def test_with_a_base_the_change_is_coded_even_if_the_weights_are_shorter():
    grid = np.tile(np.array([-1, 1], np.float32), 5000).reshape(100, 100)
    held = grid + np.random.default_rng(2).normal(0, 0.1, grid.shape).astype(np.float32)
    full = length(get_codec("sparse:int8").encode_bundle([grid]))
    body, decoded = there_and_back("sparse:int8", grid, held)
    assert body.base_need == "values"
    assert length(body) > full
    assert share(grid, held, decoded) > 0.999
    under_mask, _ = there_and_back("sparse:int8", grid, held, base_use="mask")
    assert under_mask.base_need == "mask"
    assert length(under_mask) <= full


def test_survivors_are_never_zero_and_new_ones_arrive():
    rng = np.random.default_rng(3)
    held = rng.normal(size=(60, 70)).astype(np.float32)
    held[rng.random(held.shape) < 0.5] = 0
    new = held.copy()
    new[rng.random(held.shape) < 0.2] = 0
    new[rng.random(held.shape) < 0.1] = 1e-12
    for spec in (
        "sparse:int4",
        "quantize:int4:network+sparse",
        "quantize:int8+zlib:6",
        "ternary+raw",
    ):
        there_and_back(spec, new, held)


def test_what_is_not_finite_is_refused_or_coded_in_full():
    held = np.linspace(1, 2, 100, dtype=np.float32)
    new = held.copy()
    new[3] = np.inf
    for spec in ("cast:bf16+sparse", "cast:bf16+raw"):
        codec = get_codec(spec)
        with pytest.raises(CodecError, match="NaN or infinite"):
            codec.encode_bundle([new], base=[held], base_use="values")
        body, decoded = there_and_back(spec, new, held)
        assert body.base_need != "values"
        assert np.isinf(decoded[3])
    with pytest.raises(CodecError, match="NaN or infinity"):
        get_codec("sparse:int8").encode_bundle([new], base=[held])


def test_the_largest_changes_stay_finite():
    largest = np.finfo(np.float32).max
    held = np.full((2, 300), largest, np.float32)
    for bits in (2, 8):
        for granularity in ("layer", "channel", "network"):
            spec = f"quantize:int{bits}:{granularity}+sparse"
            _, decoded = there_and_back(spec, -held, held)
            assert np.isfinite(decoded).all()
    assert np.array_equal(differences(-held[0], held[0]), np.full(300, -largest))


def test_scales_of_blocks():
    stage = get_stage("quantize:int8").for_differences()
    values = np.concatenate(
        [np.full(BLOCK_LENGTH, 127, np.float32), np.zeros(BLOCK_LENGTH), [3.0], [-127 * 1.3]]
    ).astype(np.float32)
    places = Places(np.arange(len(values)), (len(values),))
    side = stage.measure(values, places)
    # 1, none, and 1.3 rounded up to 1.5: the upper halves of these floats.
    assert [hex(key) for key in side] == ["0x3f80", "0x0", "0x3fc0"]
    assert stage.side_count((len(values),)) == 3
    codes = stage.coded(values, places, side)
    assert codes[0] == 127
    assert not codes[BLOCK_LENGTH : 2 * BLOCK_LENGTH].any()
    assert codes[-2:].tolist() == [2, -110]
    for bad in ([0x8000], [0x3F81], [0x7F80], [0x7FC0], [0xFFE0]):
        with pytest.raises(PayloadError, match="scale that is none"):
            stage.check_side(np.array(bad, np.uint16))


def test_too_few_and_too_many_scales_are_refused():
    held, new = (part[:2000] for part in CHANGES["normal"])
    codec, specs = get_codec("sparse:int8"), [ArraySpec((2000,), np.dtype("f4"))]
    body = codec.encode_bundle([new], base=[held])
    values = bytes(body.values)
    # 2,000 survivors (2 bytes), codes as bytes, relative, 4 blocks.
    assert values[:4] == bytes([0xD0, 0x0F, 0x83, 4])
    for count, said in ((5, "at most 4"), (3, None), (0, None)):
        hurt = Body(body.mask, values[:3] + bytes([count]) + values[4:])
        for decode, base in (
            (codec.decode_bundle, [held]),
            (codec.decode_survivors, KnownBase([held])),
        ):
            with pytest.raises(PayloadError, match=said):
                decode(hurt, specs, base=base)
    zeros = bytes([0, 6, 0x83, 0, 0, 0, 0, 1, 5, 0])
    with pytest.raises(PayloadError):
        codec.decode_bundle(Body(b"\1", zeros), specs, base=[held])


@pytest.mark.parametrize(
    "spec",
    [
        "sparse:int8",
        "sparse:int4",
        "quantize:int8:channel+sparse",
        "quantize:affine8+zlib:6",
        "quantize:int6+raw",
        "cast:fp16+zlib:6",
        "flexpoint+sparse",
        "codebook:16+sparse",
    ],
)
def test_damage_is_refused_or_harmless(spec):
    rng = np.random.default_rng(4)
    held, new = (part[:3000].reshape(30, 100).copy() for part in CHANGES["student"])
    gone = rng.random(held.shape) < 0.3
    held[gone], new[gone] = 0, 0
    codec, specs = get_codec(spec), [ArraySpec(new.shape, new.dtype)]
    body = codec.encode_bundle([new], base=[held])
    data = bytes(body.values)
    damaged = [data[:end] for end in range(0, len(data), 1 + len(data) // 80)]
    for _ in range(250):
        mutated = bytearray(data)
        mutated[rng.integers(min(len(data), 200))] ^= 1 << rng.integers(8)
        damaged.append(bytes(mutated))
    refused = 0
    for values in damaged:
        try:
            (decoded,) = codec.decode_bundle(Body(body.mask, values), specs, base=[held])
        except PayloadError:
            refused += 1
        else:
            assert decoded.shape == new.shape
    assert refused > len(damaged) // 5


def test_general_codecs_say_that_values_are_relative():
    held, new = (part[:600].reshape(20, 30) for part in CHANGES["normal"])
    codec, specs = get_codec("quantize:int8+raw"), [ArraySpec((20, 30), np.dtype("f4"))]
    body = codec.encode_bundle([new], base=[held])
    assert body.mask == b"\1"
    # 600 codes, and two scales of two bytes.
    assert len(body.values) == 604
    with pytest.raises(PayloadError, match="unknown_base"):
        codec.decode_bundle(body, specs)
    for mask in (b"\0", b"\2", b"\1\1"):
        with pytest.raises(PayloadError, match="has a mask"):
            codec.decode_bundle(Body(mask, body.values), specs, base=[held])
    new[0, 0] = held[0, 0] = 0
    body = codec.encode_bundle(
        [np.where(np.arange(600).reshape(20, 30) < 500, new, 0)], base=[held]
    )
    surplus = bytes(body.values[:-2]) + b"\x80\x3f"
    with pytest.raises(PayloadError, match="more scales"):
        codec.decode_bundle(Body(body.mask, surplus), specs, base=[held])
    with pytest.raises(CodecError, match="needs the codec sparse"):
        codec.encode_bundle([new], base=[held], base_use="mask")
    assert get_codec("quantize:int8+raw").takes_base
    assert not get_codec("raw").takes_base
