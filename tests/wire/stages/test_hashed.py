"""Weights shared by a hash: least squares, signs, what is left whole, one hash for ever, damage."""

import hashlib

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload
from flwr_gan.wire.codecs import ArraySpec, Body, get_codec
from flwr_gan.wire.stages import get_stage
from tests.wire.stages.all_arrays import encode_payload

LAYER = np.random.default_rng(21).normal(size=(60, 50)).astype(np.float32)


def round_trip(spec, **arrays):
    return decode_payload(encode_payload(arrays, codec=f"{spec}+raw"))


def design(spec, shape):
    """Return the matrix that makes an array's weights of its shared values, column by column."""
    stage = get_stage(spec)
    count = stage.value_count(shape)
    units = np.eye(count, dtype=np.float32)
    return np.stack([stage.restore([unit], shape).reshape(-1) for unit in units], axis=1)


@pytest.mark.parametrize("spec", ["hash:0.1", "hash:0.1:sign"])
def test_the_values_are_those_of_least_squares(spec):
    matrix = design(spec, LAYER.shape)
    assert np.array_equal(np.count_nonzero(matrix, axis=1), np.ones(LAYER.size))
    assert (matrix.min() < 0) == spec.endswith("sign")
    wanted = np.linalg.lstsq(matrix, LAYER.reshape(-1).astype(np.float64), rcond=None)[0]
    _, [[values]] = get_stage(spec).apply([LAYER])
    assert values.shape == (300,)
    assert np.allclose(values, wanted, atol=1e-6)
    assert np.allclose(round_trip(spec, w=LAYER)["w"].reshape(-1), matrix @ values, atol=1e-6)


@pytest.mark.parametrize(("fraction", "count"), [("0.0001", 1), ("0.1", 300), ("0.3334", 1001)])
def test_a_payload_has_so_many_values_rounded_up(fraction, count):
    assert get_stage(f"hash:{fraction}").value_count(LAYER.shape) == count
    payload = encode_payload({"w": LAYER}, codec=f"hash:{fraction}+raw")
    plain = encode_payload({"w": LAYER}, codec="raw")
    # The stage's number and settings, and a byte that says that the array is hashed.
    settings_bytes = 1 if fraction == "0.0001" else 2
    assert len(payload) - len(plain) == 4 * (count - LAYER.size) + 1 + settings_bytes + 1


def test_shared_weights_are_found_again():
    values = np.arange(1, 301, dtype=np.float32) / 7
    for spec in ("hash:0.1", "hash:0.1:sign"):
        shared = get_stage(spec).restore([values], LAYER.shape)
        assert np.array_equal(round_trip(spec, w=shared)["w"], shared)


def test_buckets_are_as_even_as_chance_makes_them():
    matrix = design("hash:0.02", LAYER.shape)
    members = np.count_nonzero(matrix, axis=0)
    assert members.sum() == LAYER.size
    assert 0.4 < members.var() / members.mean() < 1.8
    signs = design("hash:0.02:sign", LAYER.shape)
    assert 0.45 < np.mean(signs[signs != 0] < 0) < 0.55
    # Arrays of another size share in another way.
    other = design("hash:0.02", (60, 49)).argmax(axis=1)[:2900]
    assert np.mean(other == matrix.argmax(axis=1)[:2900]) < 0.1


def test_the_hash_is_the_same_for_ever():
    places = design("hash:0.01:sign", (40, 25))
    digest = hashlib.sha256(places.astype(np.int8).tobytes()).hexdigest()
    assert digest[:16] == "cbb8ccf33bba6a96"


def test_what_would_not_get_smaller_travels_as_it_is():
    pruned = np.where(np.abs(LAYER) > 1.7, LAYER, 0).astype(np.float32)
    assert np.count_nonzero(pruned) < 300
    arrays = {"pruned": pruned, "bias": LAYER[0], "one": LAYER[:1, :1], "none": LAYER[:0]}
    decoded = round_trip("hash:0.1", **arrays, full=LAYER)
    for name, array in arrays.items():
        assert np.array_equal(decoded[name], array)
    assert not np.array_equal(decoded["full"], LAYER)


def test_pruned_weights_count_with_their_zeros():
    array = LAYER.copy()
    array[::2] = 0
    decoded = round_trip("hash:0.1", w=array)["w"]
    matrix = design("hash:0.1", LAYER.shape)
    means = (matrix.T @ array.reshape(-1)) / matrix.sum(axis=0)
    assert np.allclose(decoded.reshape(-1), matrix @ means, atol=1e-6)
    assert decoded[::2].any()


def test_blocks_join_seamlessly():
    wide = np.random.default_rng(1).normal(size=(700, 400)).astype(np.float32)
    decoded = round_trip("hash:0.0005", w=wide)["w"]
    assert len(np.unique(decoded)) == 140
    kinds = np.unique(decoded, return_inverse=True)[1].reshape(-1)
    means = np.bincount(kinds, wide.reshape(-1)) / np.bincount(kinds)
    assert np.allclose(np.unique(decoded), means, atol=1e-6)


def test_numbers_that_are_not_finite_are_refused():
    array = LAYER.copy()
    array[3, 4] = np.nan
    with pytest.raises(CodecError, match=r"hash:0\.1 cannot code NaN or infinity"):
        get_codec("hash:0.1+raw").encode_bundle([array])


def test_damage_is_refused():
    small = LAYER[:4, :3]
    for shape, flag, said in (
        ((4, 3), 2, "at most 1 is possible"),
        ((12,), 1, "cannot share"),
        ((1, 1), 1, "cannot share"),
        ((0, 3), 1, "cannot share"),
    ):
        array = small.reshape(-1)[: np.prod(shape)].reshape(shape)
        codec = get_codec("hash:0.5+raw")
        values = bytearray(bytes(codec.encode_bundle([array]).values))
        values[0] = flag
        with pytest.raises(PayloadError, match=said):
            codec.decode_bundle(Body(b"", bytes(values)), [ArraySpec(shape, array.dtype)])
