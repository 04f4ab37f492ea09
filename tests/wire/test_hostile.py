"""Whatever the bytes, decoding returns arrays or raises PayloadError, in bounded memory."""

import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import Template, decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.header import seal

RNG = np.random.default_rng(3)
SMALL = {
    "w": (RNG.normal(size=(9, 8)) * (RNG.random((9, 8)) < 0.3)).astype(np.float32),
    "v": RNG.normal(size=5).astype(np.float32),
    "g": (RNG.normal(size=300) * (np.arange(300) % 41 == 7)).astype(np.float32),
    "n": np.array([1, 2, 300], np.int64),
    "b": np.array([True, False]),
}
BASE = {name: (array * 0.98).astype(array.dtype) for name, array in SMALL.items()}
PRUNED = {
    name: np.where(np.abs(array) > 0.6, array, 0).astype(array.dtype)
    for name, array in SMALL.items()
}
WAS = {
    **BASE,
    "w": np.where(np.arange(72).reshape(9, 8) % 19 == 0, 1, BASE["w"]).astype(np.float32),
    "g": (np.arange(300) % 41 == 7).astype(np.float32) * (np.arange(300) > 60),
}

CASES = {
    "raw": {"codec": "raw"},
    "zlib": {"codec": "zlib"},
    "lzma": {"codec": "lzma"},
    "bz2": {"codec": "bz2"},
    "zstd": {"codec": "zstd"},
    "pcodec": {"codec": "pcodec"},
    "sparse": {"codec": "sparse"},
    "sparse:pcodec": {"codec": "sparse:pcodec"},
    "sparse:int8": {"codec": "sparse:int8"},
    "sparse:int4": {"codec": "sparse:int4"},
    "sparse:bf16": {"codec": "sparse:bf16"},
    "channel+zlib": {"codec": "quantize:int8:channel+zlib"},
    "pruned int8": {"codec": "prune:magnitude:0.8+sparse:int8"},
    "affine network": {"codec": "quantize:affine5:network+sparse"},
    "affine+zlib": {"codec": "quantize:affine8:layer+zlib"},
    "binary": {"codec": "binary:channel+sparse"},
    "codebook": {"codec": "codebook:4:layer+sparse"},
    "flexpoint": {"codec": "flexpoint+sparse"},
    "csr int8": {"codec": "quantize:int8:layer+csr"},
    "rle int8": {"codec": "quantize:int8:layer+rle"},
    "low rank": {"codec": "lowrank:rank:2+sparse"},
    "low rank int8": {"codec": "lowrank:rank:2+quantize:int8:channel+zlib"},
    "same, differences": {"codec": "sparse", "base": BASE, "base_use": "values"},
    "pcodec differences": {"codec": "sparse:pcodec", "base": BASE, "base_use": "values"},
    "int8 differences": {"codec": "sparse:int8", "base": BASE, "base_use": "values"},
    "nested": {"codec": "sparse", "base": BASE, "base_use": "mask"},
    "changed": {"codec": "sparse", "base": WAS, "base_use": "mask"},
    "derived": {"codec": "sparse", "base": SMALL, "base_use": "derive"},
    "derived by layer": {"codec": "sparse", "base": SMALL, "base_use": "derive"},
    "int8 of all": {"codec": "sparse:int8", "lossy": "all"},
    "affine of all": {"codec": "quantize:affine8:layer+zlib", "lossy": "all"},
    "types": {"codec": "sparse"},
    "types int8": {"codec": "sparse:int8"},
    "types zlib": {"codec": "quantize:int4:channel+zlib"},
    "types raw": {"codec": "raw"},
    "types, base": {"codec": "sparse", "base": {**BASE, "d": np.ones((9, 8))}},
    "types int8, base": {"codec": "sparse:int8", "base": {**BASE, "d": np.ones((9, 8))}},
}

TYPES = {
    "w": SMALL["w"],
    "h": SMALL["w"].astype(np.float16) * np.float16(3),
    "b16": (SMALL["w"].view(np.uint32) >> 16).astype("<u2").view("V2"),
    "d": SMALL["w"].astype(np.float64) / 3,
    "tied": SMALL["w"],
    "v": SMALL["v"],
    "positive": np.abs(SMALL["w"]) + np.float32(0.125),
}


def derived_target():
    """Return SMALL without its smallest weights over all layers."""
    flat = np.concatenate([SMALL[name].reshape(-1) for name in "wvg"])
    limit = np.sort(np.abs(flat))[-12]
    kept = {name: np.where(np.abs(SMALL[name]) >= limit, SMALL[name], 0) for name in "wvg"}
    return {**SMALL, **kept}


def payload_of(case, self_contained):
    arrays = TYPES if case.startswith("types") else SMALL
    if case == "nested":
        arrays = PRUNED
    elif case == "derived":
        arrays = derived_target()
    elif case == "derived by layer":
        arrays = {**derived_target(), "v": SMALL["v"]}
    payload = encode_payload(arrays, self_contained=self_contained, **CASES[case])
    base = CASES[case].get("base")
    template = Template.of(arrays)
    return payload, decode_payload(payload, template=template, base=base), base, template


def attempt(payload, base, template=None):
    try:
        return decode_payload(payload, template=template, base=base, max_bytes=1 << 20)
    except PayloadError:
        return None


def assert_same(decoded, expected):
    if decoded is not None:
        assert {name: array.tobytes() for name, array in decoded.items()} == {
            name: array.tobytes() for name, array in expected.items()
        }


@pytest.mark.parametrize("case", CASES)
def test_every_truncation_and_every_flipped_bit_is_noticed(case):
    payload, expected, base, template = payload_of(case, self_contained=False)
    for end in range(len(payload)):
        assert attempt(payload[:end], base, template) is None
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        assert_same(attempt(bytes(damaged), base, template), expected)


@pytest.mark.parametrize(
    ("case", "self_contained"),
    [
        (case, self_contained)
        for case in CASES
        for self_contained in (True, False)
        if self_contained or not case.startswith("types")
    ],
)
@pytest.mark.slow
def test_resealed_mutations_raise_payload_error_alone(case, self_contained):
    payload, _, base, template = payload_of(case, self_contained)
    template = None if self_contained else template
    body = payload[:-4]
    for end in range(len(body)):
        attempt(seal(body[:end]), base, template)
    for at in range(len(body)):
        for value in {0, 1, 127, 128, 255, body[at] ^ 1, body[at] ^ 128, (body[at] + 1) & 255}:
            attempt(seal(body[:at] + bytes([value]) + body[at + 1 :]), base, template)
    rng = np.random.default_rng(5)
    for _ in range(150):
        attempt(seal(mutated(body, rng)), base, template)


def mutated(body, rng):
    data = bytearray(body)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(data)))
        kind = rng.integers(4)
        if kind == 0:
            data[at] = rng.integers(256)
        elif kind == 1:
            del data[at : at + rng.integers(1, 9)]
        elif kind == 2:
            data[at:at] = rng.integers(0, 256, rng.integers(1, 9), dtype=np.uint8).tobytes()
        else:
            other = int(rng.integers(len(data)))
            data[at : at + 6] = data[other : other + 6]
        data = data or bytearray(1)
    return bytes(data)


BOMB = 32 << 20


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["f4", "f2", "f8"])
@pytest.mark.parametrize("spec", ["zlib", "lzma", "bz2", "zstd", "pcodec", "sparse", "sparse:int8"])
def test_bombs_cost_no_memory(spec, kind):
    def arrays(size):
        made = np.zeros((size // 1000, 250), kind)
        made[0, :9] = np.arange(9)  # or there would be nothing to lose
        return {"w": made}

    bomb, sound = (encode_payload(arrays(size), codec=spec) for size in (BOMB, 10_000))
    small = Template.of(arrays(10_000))
    # The bomb under its own template is over the limit; under a small one it is too long.
    head, tail = describe_payload(sound).template_at, describe_payload(bomb).template_end
    forged = seal(sound[:4] + bytes([sound[4] & ~3]) + sound[5:head] + small.hash + bomb[tail:-4])
    tracemalloc.start()
    try:
        with pytest.raises(PayloadError, match="max_bytes"):
            decode_payload(bomb, max_bytes=1 << 20)
        if "sparse" in spec:  # no survivors are no survivors, however many weights there are
            assert_same(attempt(forged, None, small), decode_payload(sound))
        else:
            with pytest.raises(PayloadError):
                decode_payload(forged, template=small, max_bytes=1 << 20)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def peak_of_decoding(payload, max_bytes):
    """Return the most memory that decoding takes, with numba's loops or without them."""
    peaks = []
    compiled.load()
    decode_payload(payload, max_bytes=max_bytes)  # loads what is compiled
    for way in (nullcontext(), compiled.without_numba()):
        with way:
            tracemalloc.start()
            try:
                decode_payload(payload, max_bytes=max_bytes)
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    return max(peaks)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "zlib:1",
        "bz2",
        "zstd:3",
        "pcodec",
        "sparse",
        "sparse:pcodec",
        "sparse:int4",
        "quantize:affine8:layer+raw",
        "codebook:16:layer+sparse",
        "prune:magnitude:0.5+sparse",
        "csr",
        "rle",
    ],
)
@pytest.mark.parametrize("density", [0.02, 0.4, 1.0])
def test_memory_stays_near_the_decoded_size(spec, density):
    rng = np.random.default_rng(0)
    count = 2_000_000
    weights = (rng.random(count) < density) * rng.random(count)
    arrays = {"w": weights.astype(np.float32).reshape(1000, 2000)}
    payload = encode_payload(arrays, codec=spec)
    assert peak_of_decoding(payload, 4 * count) - len(payload) < 4 * count + (12 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["f2", "V2", "f8", "f8 corrected"])
@pytest.mark.parametrize("spec", ["sparse", "sparse:int8"])
def test_memory_of_other_types_is_that_of_float32_besides(spec, kind):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(1000, 1000)).astype(np.float32)
    array = weights.astype("f8") / 3 if "corrected" in kind else weights
    array = (weights.view("u4") >> 16).astype("u2").view("V2") if kind == "V2" else array
    array = array.astype(kind[:2]) if kind[0] == "f" else array
    payload = encode_payload({"w": array}, codec=spec)
    peak = peak_of_decoding(payload, array.nbytes)
    assert peak - len(payload) < array.nbytes + 8 * array.size + (12 << 20)
