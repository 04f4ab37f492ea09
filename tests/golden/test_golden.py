"""Payloads written by the first version decode to the same arrays, now and for ever."""

import json

import numpy as np
import pytest

from flwr_gan.wire import decode_payload, describe_payload, encode_payload
from tests.golden.cases import CASES, FOLDER, SAME_BYTES_EVERYWHERE
from tests.golden.write import digest


@pytest.mark.parametrize("name", CASES)
def test_golden_payload_decodes(name):
    payload = (FOLDER / f"{name}.fgan").read_bytes()
    arrays, options = CASES[name]
    decoded = decode_payload(payload, base=options.get("base"))
    assert digest(decoded) == json.loads((FOLDER / "index.json").read_text())[name]
    for key, array in arrays.items():
        if not any(word in options.get("codec", "") for word in ("prune", "lowrank", "hash")):
            assert np.array_equal(decoded[key] != 0, array != 0)
        if describe_payload(payload).codec.lossless:
            assert np.array_equal(decoded[key], array, equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize("name", SAME_BYTES_EVERYWHERE)
def test_encoder_still_writes_the_same_bytes(name):
    arrays, options = CASES[name]
    assert encode_payload(arrays, **options) == (FOLDER / f"{name}.fgan").read_bytes()


def test_no_golden_file_is_left_over():
    files = {path.stem for path in FOLDER.glob("*.fgan")}
    assert files == set(CASES) == set(json.loads((FOLDER / "index.json").read_text()))
