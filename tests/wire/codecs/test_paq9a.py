"""Archives are those of the original program, byte for byte."""

import contextlib
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError

pytest.importorskip("numba", reason="paq9a needs numba")

from flwr_gan.wire.codecs.paq9a import compress, decompress


def lcg(count):
    x, values = 1, bytearray()
    for _ in range(count):
        x = (1664525 * x + 1013904223) % 2**32
        values.append(x >> 24)
    return bytes(values)


def sparse_floats():
    noise, data = lcg(800000), bytearray(400000)
    for i in range(100000):
        if noise[2 * i] < 8:
            value = 0x3C000000 + (noise[2 * i + 1] << 16) + (noise[i] << 8) + noise[i + 1]
            data[4 * i : 4 * i + 4] = (value % 2**32).to_bytes(4, "little")
    return bytes(data)


def marked_zeros():
    noise, data = lcg(40000), bytearray(1 << 20)
    for i in range(16384):
        data[64 * i], data[64 * i + 1] = noise[i] >> 4, noise[i + 20000]
    return bytes(data + data[:65536])


def noise_zeros_noise():
    noise = lcg(100000)
    return noise + bytes((1 << 20) - 100000) + noise


FOX = b"".join(b"The quick brown fox %d jumps.\n" % i for i in range(5000))
HELLO = b"hello paq9a, hello paq9a, hello paq9a\n"

QUICK = [
    (lambda: b"", 1, 20, "4790f29c52a00a15c1ad5992aec126e22c697ffd3c163af50d43ec08eab649a1"),
    (lambda: b"", 3, 20, "0cf7bb3b5c5872d803d711549d0074211f8ba56297e9c0d46359400dfcc492df"),
    (lambda: HELLO, 1, 38, "fc988fc0359ca590353eaba4342afb0c71e47d88418027dbd9f5d58f5337cc95"),
    (lambda: HELLO, 3, 38, "c9c4adc3b9f64bb65af3534bfc03ddbccfb466980ea03d8e759061f4221abb78"),
]
SLOW = [
    (
        lambda: bytes(100000),
        1,
        24,
        "87b97c6c12e950855d0695fe89e7706449cec52ee19f52eab69ab6d7a7f56578",
    ),
    (
        lambda: bytes(100000),
        3,
        24,
        "0b83a750b326fce244b8c16ca8d63e0372145c0016d47e1ad8533d400aa4313f",
    ),
    (lambda: FOX, 1, 1483, "5b8dcd6147e44b9e2496bec3d5d27707a67b9770ba76519e01c00121af9f63bc"),
    (lambda: FOX, 3, 1475, "68f1c715813729f64a615da0bc9c590593741014f8210a0392a02f06eb2bf65b"),
    (
        lambda: lcg(300000),
        1,
        300485,
        "abf552262d7357926bb014675096648f644cc202d46d81b0909e7d7dcbb8eded",
    ),
    (
        lambda: lcg(300000),
        3,
        300484,
        "e3e55366027cd0170e01df717c850e0aa8e9ff930adacc55cd227d7c403168d8",
    ),
    (sparse_floats, 1, 15995, "3353b98bf2e5ff6a2fd5f234dfc6acef8506d9cee8594f061870e677a7e7a5a6"),
    (sparse_floats, 3, 15997, "764ac1724f6f9760e73609d09f797ae15c835675b1ca259d001cb770135012a4"),
    (
        lambda: lcg(130641),
        1,
        130852,
        "6697f1ee541790330a87ad19a6478f349089aefd191ede48115bd8f790b4573c",
    ),
    (marked_zeros, 1, 43217, "f07a9f98e90bf7702910740628cbff81cf165e275a4f469779e7c86f289faf94"),
    (
        noise_zeros_noise,
        1,
        145272,
        "a5b76f08cd87c19778a051cee890c05b36e0bcc572e5cb3244a09b0e6e036e64",
    ),
]
WEIGHTS = [
    ("p5", 478736, "c69ad9ba329752392463cdfa3b3640d6638e109fb074f3f2e54282f4cfb9745e"),
    ("p17", 100470, "ad156c52bf8d2cc4dc83332e5d143c1445a5825a51ca2472d42a97554ece84c9"),
]


def check(data, level, size, digest):
    archive = compress(data, level=level)
    assert len(archive) == size
    assert hashlib.sha256(archive).hexdigest() == digest
    assert decompress(archive, max_bytes=len(data)) == data


@pytest.mark.parametrize(("data", "level", "size", "digest"), QUICK)
def test_short_vectors(data, level, size, digest):
    check(data(), level, size, digest)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "level", "size", "digest"), SLOW)
def test_long_vectors(data, level, size, digest):
    check(data(), level, size, digest)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "digest"), WEIGHTS)
def test_real_weights(name, size, digest):
    folder = os.environ.get("FLWR_GAN_WEIGHTS")
    if not folder:
        pytest.skip("FLWR_GAN_WEIGHTS does not name a folder of generator weights")
    check(np.load(Path(folder) / f"generator_{name}.npy").tobytes(), 1, size, digest)


def test_full_bytes_of_a_short_archive():
    expected = "70 51 39 01 31 77 00 63 00 00 00 26 00 00 00 16 88 eb bc 87 91 de ba ad 02 70 ab 92"
    assert compress(HELLO) == bytes.fromhex(expected + "4a 9c b4 e9 d1 b9 67 ff ff ff")


def test_damaged_archives():
    archive = compress(HELLO)
    for end in range(len(archive)):
        with pytest.raises(PayloadError):
            decompress(archive[:end], max_bytes=1000)
    for bit in range(8 * len(archive)):
        damaged = bytearray(archive)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with contextlib.suppress(PayloadError):
            assert len(decompress(bytes(damaged), max_bytes=1000)) <= 1000
    with pytest.raises(PayloadError, match="max_bytes=37"):
        decompress(archive, max_bytes=37)
    with pytest.raises(PayloadError, match="level 9"):
        decompress(archive[:4] + b"9" + archive[5:], max_bytes=1000)


def test_a_stored_block_is_read():
    stored = b"pQ9\x011w\0s" + (5).to_bytes(4, "big") * 2 + b"hello"
    assert decompress(stored, max_bytes=5) == b"hello"


def test_bad_calls():
    for level in (0, 10):
        with pytest.raises(CodecError, match="allowed: 1 to 9"):
            compress(b"", level=level)
    for name in (b"", b"a\0b", b"x" * 2000):
        with pytest.raises(CodecError, match="name"):
            compress(b"", name=name)
