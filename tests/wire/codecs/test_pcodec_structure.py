"""``sparse:pcodec`` searches for structure where a sample of the values shows some."""

import numpy as np
import pytest

from flwr_gan.wire.codecs.sparse.values import PCODEC, write_values

pytest.importorskip("pcodec", reason="pcodec is not installed")

from flwr_gan.wire.codecs.pcodec_codec import compress_numbers


def normal(count=20_000):
    return np.random.default_rng(0).normal(size=count).astype(np.float32)


def test_weights_take_as_few_bytes_without_the_search():
    values = normal()
    assert len(compress_numbers(values, level=8, plain=True)) <= len(
        compress_numbers(values, level=8)
    )


@pytest.mark.parametrize(
    "structured",
    [
        (normal().view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32),
        normal().astype(np.float16).astype(np.float32),
        (np.rint(normal() * 40) * np.float32(0.0137)).astype(np.float32),
        np.full(20_000, 1.5, np.float32),
    ],
    ids=["bf16", "fp16", "multiples", "constant"],
)
def test_structure_is_found(structured):
    written = len(write_values([structured], PCODEC))
    assert written <= len(compress_numbers(structured, level=8)) + 3
    assert written < 0.6 * structured.nbytes


def test_few_values_are_no_sample_of_anything():
    for count in (1, 2, 3):
        assert write_values([normal(count)], PCODEC)
