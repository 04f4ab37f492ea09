"""Arrays of more than 1 GiB."""

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import Template, decode_payload, encode_payload

COUNT = 270_000_000


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
