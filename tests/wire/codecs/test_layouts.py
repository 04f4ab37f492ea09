"""csr, csc and rle: the layouts byte by byte, what they cost, and what they refuse."""

import math

import numpy as np
import pytest
from scipy.sparse import csc_array

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.codecs.varint import write_varint

TABLE = np.array([[0, 5, 0, 0], [0, 0, 0, 0], [7, 0, 0, 255]], np.uint8)


def test_csr_byte_by_byte():
    blob = get_codec("csr").encode(TABLE)
    # 12 elements; 1, 0, 2 of them in the rows; columns 1, 0, 3; the elements.
    assert blob == bytes([12, 1, 0, 2, 1, 0, 3, 5, 7, 255])


@pytest.mark.parametrize("shape", [(30, 400), (300, 2, 3), (7,), (), (0, 4)])
def test_csc_is_the_layout_of_scipy(shape):
    rng = np.random.default_rng(2)
    array = np.array(rng.normal(size=shape) * (rng.random(shape) < 0.2), np.float32)
    table = array.reshape(shape[0] if len(shape) > 1 else 1, math.prod(shape[len(shape) > 1 :]))
    known = csc_array(table)
    rows = known.indices.astype("<u2" if len(table) > 256 else "u1")
    counts = np.diff(known.indptr).astype("<u2" if len(table) > 255 else "u1")
    blob = get_codec("csc").encode(array)
    parts = [part.tobytes() for part in (counts, rows, known.data)] if array.size else []
    assert blob == write_varint(array.size) + b"".join(parts)
    assert np.array_equal(get_codec("csc").decode(blob, shape=shape, dtype="f4"), array)


def test_rle_byte_by_byte():
    blob = get_codec("rle").encode(TABLE)
    # 12 elements; three runs: 1, 6 and 2 zeros; the elements.
    assert blob == bytes([12, 3, 1, 6, 2, 5, 7, 255])
    wide = np.zeros(600, np.uint8)
    wide[[254, 255, 300, 599]] = 1, 2, 3, 4
    # 254 zeros fit in one byte, 298 do not; 600 = 88 + 4 * 128.
    runs = [254, 0, 44, 255, 43]
    assert get_codec("rle").encode(wide) == bytes([88 | 128, 4, 5, *runs, 1, 2, 3, 4])
    for count in (255, 256, 509, 510, 511, 1000):
        late = np.zeros(count + 1, np.float32)
        late[-1] = 1
        blob = get_codec("rle").encode(late)
        assert len(blob) == 2 + 1 + count // 255 + 1 + 4
        assert np.array_equal(get_codec("rle").decode(blob, shape=late.shape, dtype="f4"), late)


@pytest.mark.parametrize(("columns", "bytes_each"), [(255, 1), (256, 1), (257, 2), (65537, 4)])
def test_csr_takes_the_fewest_bytes_for_a_column(columns, bytes_each):
    array = np.zeros((4, columns), np.float32)
    array[1, [0, columns - 1]] = 2
    blob = get_codec("csr").encode(array)
    count_bytes = 1 if columns < 256 else 2 if columns < 65536 else 4
    lead = 2 if array.size < 1 << 14 else 3
    assert len(blob) == lead + 4 * count_bytes + 2 * bytes_each + 8
    assert np.array_equal(get_codec("csr").decode(blob, shape=array.shape, dtype="f4"), array)


@pytest.mark.parametrize("spec", ["csr", "csc", "rle"])
def test_many_blocks(spec):
    rng = np.random.default_rng(0)
    array = (rng.integers(1, 100, 400_000) * (rng.random(400_000) < 0.6)).astype(np.int16)
    array = array.reshape(800, 500)
    codec = get_codec(spec)
    assert np.array_equal(codec.decode(codec.encode(array), shape=(800, 500), dtype="i2"), array)


@pytest.mark.parametrize("spec", ["csr", "csc", "rle"])
def test_before_and_behind_other_stages(spec):
    rng = np.random.default_rng(1)
    arrays = {"w": rng.normal(size=(60, 50)).astype(np.float32), "steps": np.array(3)}
    pruned = encode_payload(arrays, codec=f"prune:magnitude:0.9+{spec}")
    coded = encode_payload(arrays, codec=f"prune:magnitude:0.9+quantize:int8:layer+{spec}")
    best = encode_payload(arrays, codec="prune:magnitude:0.9+quantize:int8:layer+sparse")
    assert len(best) < len(coded) < len(pruned) < arrays["w"].nbytes / 5
    assert np.count_nonzero(decode_payload(coded)["w"]) == 300


@pytest.mark.parametrize(
    ("spec", "blob", "said"),
    [
        ("csr", [12, 1, 0, 2, 1, 0, 3, 5, 7], "truncated"),
        ("csr", [12, 1, 0, 2, 1, 0, 3, 5, 7, 255, 1], "too many"),
        ("csr", [11, 1, 0, 2, 1, 0, 3, 5, 7, 255], "no array"),
        ("csr", [12, 5, 0, 2, 1, 0, 3, 5, 7, 255], "5 elements in a row of 4"),
        ("csr", [12, 1, 0, 2, 4, 0, 3, 5, 7, 255], "behind the end of a row"),
        ("csr", [12, 1, 0, 2, 1, 3, 0, 5, 7, 255], "out of order"),
        ("csr", [12, 1, 0, 2, 1, 3, 3, 5, 7, 255], "out of order"),
        ("csr", [12, 1, 0, 2, 1, 0, 3, 5, 0, 255], "element that is zero"),
        ("csc", [12, 4, 1, 0, 1, 2, 0, 2, 7, 5, 255], "4 elements in a row of 3"),
        ("csc", [12, 1, 1, 0, 1, 3, 0, 2, 7, 5, 255], "behind the end of a row"),
        ("rle", [12, 3, 1, 6, 2, 5, 7], "truncated"),
        ("rle", [12, 3, 1, 6, 2, 5, 7, 255, 1], "too many"),
        ("rle", [13, 3, 1, 6, 2, 5, 7, 255], "no array"),
        ("rle", [12, 13, 1, 6, 2, 5, 7, 255], "at most 12"),
        ("rle", [12, 3, 1, 6, 3, 5, 7, 255], "behind the end"),
        ("rle", [12, 1, 255], "without an element"),
        ("rle", [12, 3, 1, 6, 2, 5, 0, 255], "element that is zero"),
    ],
)
def test_damage_is_named(spec, blob, said):
    with pytest.raises(PayloadError, match=said):
        get_codec(spec).decode(bytes(blob), shape=TABLE.shape, dtype=np.uint8)


@pytest.mark.parametrize("spec", ["csr", "csc", "rle"])
def test_there_are_no_settings(spec):
    with pytest.raises(CodecError, match="takes no settings"):
        get_codec(f"{spec}:1")
