"""Masks of which some positions are dropped and others added since the base."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flwr_gan.errors import PayloadError
from flwr_gan.wire import Template, decode_payload, encode_payload, payload_sizes
from flwr_gan.wire.codecs.sparse.masks import CHANGED, LAYERED, NESTED, SAME, open_mask, write_mask
from flwr_gan.wire.codecs.sparse.parts import KnownBase
from flwr_gan.wire.codecs.sparse.positions import Support
from flwr_gan.wire.header import describe_payload, seal


def churned(layer, share, rng):
    """Return a layer in which a share of the survivors went and as many zeros came."""
    flat = layer.reshape(-1).copy()
    survivors, zeros = np.flatnonzero(flat), np.flatnonzero(flat == 0)
    count = min(round(share * len(survivors)), len(zeros))
    flat[rng.choice(survivors, count, replace=False)] = 0
    flat[rng.choice(zeros, count, replace=False)] = 0.25
    return flat.reshape(layer.shape)


def coded(new, base):
    return write_mask([Support.of(layer != 0) for layer in new], base=KnownBase(base))


def read(data, lengths, base):
    source = open_mask(data, lengths, KnownBase(base))
    masks = []
    for layer, length in enumerate(lengths):
        mask = np.zeros(length, bool)
        for block in source.blocks(layer):
            assert (np.diff(block.positions) > 0).all()
            mask[block.positions] = True
        masks.append(mask)
    source.finish()
    return masks


@st.composite
def layers_before_and_after(draw):
    lengths = draw(st.lists(st.integers(0, 400), max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    share, churn = draw(st.floats(0, 1)), draw(st.floats(0, 1))
    base = [(rng.random(n) < share).astype(np.float32) for n in lengths]
    flips = [rng.random(n) < churn * rng.random() for n in lengths]
    return base, [np.where(f, 1 - b, b) for b, f in zip(base, flips, strict=True)]


@given(layers_before_and_after())
@settings(max_examples=150, deadline=None)
def test_what_goes_in_comes_out(both):
    base, new = both
    lengths = list(map(len, base))
    mask = coded(new, base)
    found = read(mask.data, lengths, base)
    assert all(np.array_equal(f, n != 0) for f, n in zip(found, new, strict=True))
    alone = write_mask([Support.of(layer != 0) for layer in new], base=None)
    assert len(mask.data) <= len(alone.data)


def test_layers_longer_than_a_block():
    rng = np.random.default_rng(0)
    base = [(rng.random(n) < 0.3).astype(np.float32) for n in (150_000, 7, 65_536)]
    new = [churned(layer, 0.05, rng) for layer in base]
    mask = coded(new, base)
    assert mask.mode == CHANGED
    assert mask.base_need == "mask"
    found = read(mask.data, list(map(len, base)), base)
    assert all(np.array_equal(f, n != 0) for f, n in zip(found, new, strict=True))


def test_each_mode_where_it_belongs():
    rng = np.random.default_rng(1)
    base = [(rng.random(4000) < 0.4).astype(np.float32)]
    fewer = [np.where(np.arange(4000) % 50, base[0], 0)]
    assert coded(base, base).mode == SAME
    assert coded(fewer, base).mode == NESTED
    assert coded([churned(base[0], 0.05, rng)], base).mode == CHANGED
    assert coded([1 - fewer[0]], [fewer[0] * 0]).mode == LAYERED  # nothing in common


@pytest.mark.parametrize("level", ["p5", "p10", "p17"])
def test_churn_of_a_real_generator_costs_a_fraction_of_a_mask(generator, level):
    base = generator(level)
    rng = np.random.default_rng(2)
    for share, most in ((0.01, 0.10), (0.03, 0.20), (0.10, 0.45)):
        now = {name: churned(layer, share, rng) for name, layer in base.items()}
        alone = encode_payload(now, self_contained=False)
        changed = encode_payload(now, base=base, base_use="mask", self_contained=False)
        assert describe_payload(changed).body.mask[0] == CHANGED
        assert payload_sizes(changed).mask_bytes < most * payload_sizes(alone).mask_bytes
        assert len(changed) < len(alone)
        decoded = decode_payload(changed, base=base, template=Template.of(base))
        assert all(np.array_equal(decoded[name], now[name]) for name in now)


def small():
    rng = np.random.default_rng(3)
    base = {"w": (rng.random((40, 20)) < 0.3).astype(np.float32)}
    new = {"w": churned(base["w"], 0.05, rng)}
    return base, new, encode_payload(new, base=base, base_use="mask")


def attempt(payload, base):
    try:
        return decode_payload(payload, base=base, max_bytes=1 << 16)
    except PayloadError:
        return None


def test_every_truncation_and_every_flipped_bit_is_noticed():
    base, new, payload = small()
    assert describe_payload(payload).body.mask[0] == CHANGED
    for end in range(len(payload)):
        assert attempt(payload[:end], base) is None
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        found = attempt(bytes(damaged), base)
        assert found is None or np.array_equal(found["w"], new["w"])


def test_resealed_damage_gives_arrays_or_a_payload_error():
    base, _, payload = small()
    body = payload[:-4]
    for end in range(len(body)):
        attempt(seal(body[:end]), base)
    for bit in range(8 * len(body)):
        damaged = bytearray(body)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        attempt(seal(bytes(damaged)), base)


def test_it_needs_the_base():
    base, _, payload = small()
    with pytest.raises(PayloadError, match="unknown_base"):
        decode_payload(payload)
    other = {"w": base["w"].T.reshape(40, 20).copy()}
    with pytest.raises(PayloadError, match="unknown_base"):
        decode_payload(payload, base=other)
