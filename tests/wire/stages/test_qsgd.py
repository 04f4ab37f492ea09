"""QSGD: its mean, its error, and that changes of any size pass the wire."""

import numpy as np
import pytest

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.codecs.places import Places
from flwr_gan.wire.stages import get_stage
from flwr_gan.wire.stages.blocks import BLOCK_LENGTH
from flwr_gan.wire.stages.registry import stage_by_id


def decoded(stage, values):
    places = Places(np.arange(len(values)), values.shape)
    side = stage.measure(values, places)
    return stage.decoded(stage.coded(values, places, side), places, side)


def runs(levels, vector, count):
    """Return the vector as it arrives many times, each beside a number that draws anew."""
    stage = get_stage(f"qsgd:{levels}:unbiased")
    tiny = np.float32(1e-12)
    return np.array([decoded(stage, np.append(vector, tiny * n))[:-1] for n in range(count)])


def test_the_error_of_three_and_four_is_that_of_the_paper():
    vector = np.array([3, 4], np.float32)
    found = runs(1, vector, 4000)
    assert np.mean(np.sum((found - vector) ** 2, axis=1)) == pytest.approx(10, rel=0.05)
    assert np.allclose(found.mean(axis=0), vector, atol=0.2)
    assert np.array_equal(runs(5, vector, 3), [vector] * 3)


@pytest.mark.parametrize("levels", [1, 4, 16])
def test_the_error_is_within_the_bound(levels):
    vector = np.random.default_rng(0).normal(size=BLOCK_LENGTH).astype(np.float32)
    stage = get_stage(f"qsgd:{levels}:unbiased")
    squares = float(np.sum(vector.astype(np.float64) ** 2))
    most = min(BLOCK_LENGTH / levels**2, np.sqrt(BLOCK_LENGTH) / levels)
    errors = [
        np.sum((decoded(stage, vector + np.float32(1e-7 * n)) - vector) ** 2) for n in range(50)
    ]
    # Scales are rounded up by a quarter at most.
    assert np.mean(errors) <= 1.25**2 * most * squares


def test_a_vector_of_zeros_stays_one():
    assert not decoded(get_stage("qsgd:4:unbiased"), np.zeros(5, np.float32)).any()


def test_an_update_passes_the_wire():
    rng = np.random.default_rng(1)
    held = {"w": rng.normal(size=(40, 40)).astype(np.float32)}
    wanted = {"w": held["w"] + np.float32(0.01) * rng.normal(size=(40, 40)).astype(np.float32)}
    payload = encode_payload(wanted, codec="qsgd:16:unbiased", base=held)
    found = decode_payload(payload, base=held)["w"]
    assert 0 < np.linalg.norm(found - wanted["w"]) < 1.5 * np.linalg.norm(wanted["w"] - held["w"])
    assert payload == encode_payload(wanted, codec="qsgd:16:unbiased", base=held)


def test_settings_travel_and_bad_ones_are_explained():
    for spec in ("qsgd:1", "qsgd:127:unbiased"):
        stage = get_stage(spec)
        assert stage_by_id(stage.wire_id, stage.parameter).spec == spec
    for words in ("", ":0", ":128", ":4:biased", ":4:unbiased:1"):
        with pytest.raises(CodecError, match="allowed: qsgd:N"):
            get_codec(f"qsgd{words}")
    for parameter in (0, 1, 256):
        with pytest.raises(PayloadError, match="does not know"):
            stage_by_id(14, parameter)
