"""The examples of FORMAT.md are what the code does; its words are how streams read."""

import re
from importlib import resources

import numpy as np
import pytest

from flwr_gan.wire import Template, decode_payload, encode_payload
from flwr_gan.wire.codecs.registry import _CODECS
from flwr_gan.wire.codecs.sparse.streams import write_stream
from flwr_gan.wire.stages.registry import _STAGES
from tests.wire.format_streams import Page

ARRAYS = {
    "w": np.array([[0, 1.5, 0, 0], [0, 0, -0.25, 0]], np.float32),
    "n": np.array(7, np.int16),
}


def text():
    return resources.files("flwr_gan.wire").joinpath("FORMAT.md").read_text(encoding="utf-8")


HALF = np.zeros((4, 4), np.float16)
HALF[0, 0], HALF[2, 1] = 1, 2.5
THREE = (np.arange(40) % 3 + 1).astype(np.float32)


def examples():
    blocks = re.findall(r"```text\n(.*?)```", text(), re.DOTALL)
    parts = [[line.split("  ")[0] for line in block.splitlines()] for block in blocks]
    return [bytes.fromhex("".join(lines)) for lines in parts]


def example():
    return examples()[0]


def test_the_examples_are_what_the_encoder_writes():
    given = [ARRAYS, {"h": HALF}, {"t": THREE}]
    assert [encode_payload(arrays) for arrays in given] == examples()
    assert np.array_equal(decode_payload(examples()[1])["h"], HALF)
    assert np.array_equal(decode_payload(examples()[2])["t"], THREE)


def symbols(count, kinds, seed):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=count) * kinds / 4 + 128).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("sections", "options"),
    [
        ([symbols(1, 9, 0)], {}),
        ([symbols(300, 9, 1)], {}),
        ([symbols(300, 90, 2)], {}),
        ([symbols(5000, 30, 3), 255 - symbols(5000, 3, 4)], {}),
        ([symbols(600, 2, at) + np.uint8(40 * (at % 2)) for at in range(20)], {}),
        ([symbols(300, 9, 1) // np.uint8(9) * np.uint8(9)], {}),
        ([np.packbits(np.random.default_rng(5).random(9000) < 0.1)], {"are_masks": True}),
        ([symbols(70_001, 3, 6)], {}),
        ([symbols(70_000, 60, 7)], {}),
    ],
)
def test_streams_read_as_the_page_says(sections, options):
    page = Page(bytes(write_stream(sections, **options)))
    assert page.stream(sum(map(len, sections))) == np.concatenate(sections).tolist()
    assert not page.data


def test_the_example_decodes():
    decoded = decode_payload(example())
    assert list(decoded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert decoded[name].dtype == array.dtype
        assert np.array_equal(decoded[name], array)


def test_the_hash_of_the_example_is_the_one_printed():
    hashed = Template.of(ARRAYS).hash
    assert hashed.hex(" ") in text()
    payload = encode_payload(ARRAYS, self_contained=False)
    assert payload[6:14] == hashed
    assert payload[14:-4] == example()[18:-4]


def test_every_codec_has_its_number_there():
    for name, number, _ in _CODECS:
        assert re.search(rf"\b{number} {name}\b", text())


def test_every_stage_has_its_number_and_its_section_there():
    for name, number, _ in _STAGES:
        assert re.search(rf"\b{number} {name}\b", text())
        assert f"**{number} {name}**" in text()
