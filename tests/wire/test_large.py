"""Arrays of more than a block, and of more than 1 GiB."""

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import Template, decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.sparse.values import BLOCK
from flwr_gan.wire.header import seal

COUNT = 270_000_000
DENSE = np.random.default_rng(0).normal(size=BLOCK + 77).astype(np.float32)
PRUNED = np.where(np.arange(len(DENSE)) % 7, DENSE, np.float32(0))
BLOCKS = {
    "lossless": (DENSE, {}),
    "int8": (DENSE, {"codec": "sparse:int8"}),
    "pruned, 4 bits": (PRUNED, {"codec": "sparse:int4"}),
    "differences": (PRUNED, {"base": {"w": PRUNED * np.float32(1.01)}}),
    "changes": (np.where(np.arange(len(DENSE)) % 999, PRUNED, 1), {"base": {"w": PRUNED}}),
    "float16": (DENSE.astype(np.float16), {}),
    "int64": (np.arange(BLOCK + 77) // 3, {}),
}


@pytest.mark.parametrize("case", BLOCKS)
def test_more_than_a_block_with_numba_and_without_and_on_two_threads(case):
    array, options = BLOCKS[case]
    base = options.get("base")
    payload = encode_payload({"w": array}, **options)
    assert encode_payload({"w": array}, **options, threads=2) == payload
    found = decode_payload(payload, base=base, threads=2)["w"]
    with compiled.without_numba():
        assert encode_payload({"w": array}, **options) == payload
        assert decode_payload(payload, base=base)["w"].tobytes() == found.tobytes()
    if "codec" not in options:
        assert found.tobytes() == array.astype(found.dtype).tobytes()
    else:
        assert np.array_equal(found != 0, array != 0)


def test_the_forged_length_of_a_block_is_refused():
    payload = encode_payload({"w": DENSE}, self_contained=False)
    template = Template.of({"w": DENSE})
    at = len(payload) - 4 - len(describe_payload(payload).body.values)
    # The number of survivors has 3 bytes, the coding 1; then comes the length of the first block.
    assert payload[at : at + 4] == b"\xcd\x80\x40\x00"
    for length in (b"\0", b"\1", b"\xff\xff\xff\xff\x0f"):
        bad = payload[: at + 4] + length + payload[at + 4 + 4 : -4]
        with pytest.raises(PayloadError):
            decode_payload(seal(bad), template=template, threads=2)


@pytest.mark.slow
def test_an_array_of_more_than_1_gib_is_carried():
    array = np.zeros(COUNT, np.float32)
    template = Template.of({"w": array})
    for spec in ("sparse", "raw"):
        payload = encode_payload({"w": array}, codec=spec, self_contained=False)
        with pytest.raises(PayloadError, match="arrays of 1080000000 bytes; max_bytes=1073741824"):
            decode_payload(payload, template=template)
        decoded = decode_payload(payload, template=template, max_bytes=None, writable=False)["w"]
        assert decoded.shape == (COUNT,)
        assert not decoded[::1000].any()
        del decoded


@pytest.mark.slow
def test_more_than_4_gib_of_bytes_in_few_survivors():
    """Positions, lengths and offsets beyond 2**31 and 2**32."""
    count = (1 << 31) + 4096
    array = np.zeros(count, np.uint8)
    array[[0, 1 << 16, (1 << 31) - 1, 1 << 31, count - 1]] = 7
    payload = encode_payload({"w": array, "v": np.arange(5)}, codec="raw")
    decoded = decode_payload(payload, max_bytes=None, writable=False)
    assert np.array_equal(np.flatnonzero(decoded["w"]), np.flatnonzero(array))
    assert np.array_equal(decoded["v"], np.arange(5))


def test_max_bytes_none_is_the_templates_own_size():
    arrays = {"w": np.zeros(COUNT // 1000, np.float32)}
    for self_contained in (True, False):
        payload = encode_payload(arrays, self_contained=self_contained)
        decoded = decode_payload(payload, template=Template.of(arrays), max_bytes=None)
        assert decoded["w"].size == COUNT // 1000
    assert decode_payload(encode_payload(arrays), max_bytes=None)["w"].size == COUNT // 1000
