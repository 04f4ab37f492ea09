"""Payloads that were written once decode to the same arrays, now and for ever."""

import json

import numpy as np
import pytest

from flwr_gan.wire import describe_payload, encode_payload
from flwr_gan.wire.codecs import compiled
from tests.golden.cases import CASES, FOLDER, SAME_BYTES_EVERYWHERE
from tests.golden.write import decoded, digest


@pytest.mark.parametrize("name", CASES)
def test_golden_payload_decodes(name):
    payload = (FOLDER / f"{name}.fgan").read_bytes()
    arrays, options = CASES[name]
    found = decoded(payload, name)
    assert digest(found) == json.loads((FOLDER / "index.json").read_text())[name]
    for key, array in arrays.items():
        got, sent = as_numbers(found[key]), as_numbers(array)
        if not any(word in options.get("codec", "") for word in ("prune", "lowrank", "hash")):
            assert np.array_equal(got != 0, sent != 0)
        if describe_payload(payload).codec.lossless:
            assert np.array_equal(got, sent, equal_nan=sent.dtype.kind == "f")


def as_numbers(array):
    """Return an array of a type that numpy can compare."""
    if array.dtype.kind != "V":
        return array
    return (array.view("<u2").astype("<u4") << 16).view("<f4")


@pytest.mark.parametrize("name", SAME_BYTES_EVERYWHERE)
def test_encoder_still_writes_the_same_bytes(name):
    arrays, options = CASES[name]
    golden = (FOLDER / f"{name}.fgan").read_bytes()
    compiled.load()
    assert encode_payload(arrays, **options) == golden
    with compiled.without_numba():
        assert encode_payload(arrays, **options) == golden


def test_no_golden_file_is_left_over():
    files = {path.stem for path in FOLDER.glob("*.fgan")}
    assert files == set(CASES) == set(json.loads((FOLDER / "index.json").read_text()))
