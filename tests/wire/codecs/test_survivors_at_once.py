"""Survivors that are read in one pass of compiled loops are those that are read step by step."""

import numpy as np
import pytest

from flwr_gan.errors import PayloadError
from flwr_gan.wire import Base, decode_survivors, describe_payload, encode_payload
from flwr_gan.wire.codecs import compiled
from flwr_gan.wire.codecs.sparse.codec import SparseCodec
from flwr_gan.wire.codecs.sparse.survivors import read_at_once

CODECS = ["sparse", "sparse:int8", "sparse:int6", "sparse:int5", "sparse:int4", "quantize:int2"]


@pytest.fixture(autouse=True)
def loops():
    pytest.importorskip("numba")
    compiled.load()


def held(kept: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    shapes = {"fc": (60, 50), "conv": (12, 10, 3, 3), "empty": (0, 4), "bias": (40,)}
    return {
        name: np.where(rng.random(shape) < kept, rng.normal(size=shape), 0).astype(np.float32)
        for name, shape in shapes.items()
    }


def moved(arrays: dict[str, np.ndarray], step: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(2)
    steps = {name: step * rng.standard_t(3, size=a.shape) for name, a in arrays.items()}
    return {
        name: np.where(a != 0, a + steps[name], 0).astype(np.float32) for name, a in arrays.items()
    }


def body_of(codec: str, *, kept: float, step: float):
    base = Base(held(kept))
    spec = codec if codec.startswith("sparse") else f"{codec}+sparse"
    arrays = moved(held(kept), step)
    settings = {"base_use": "values", "lossy": "all", "self_contained": False}
    return base, describe_payload(encode_payload(arrays, codec=spec, base=base, **settings))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kept", [0.005, 0.05, 0.6, 1.0])
@pytest.mark.parametrize("step", [1e-6, 0.01, 3.0])
def test_at_once_is_step_by_step(codec, kept, step):
    base, info = body_of(codec, kept=kept, step=step)
    at_once = info.codec.survivors_at_once(info.body, base.arrays)
    assert at_once is not None
    with compiled.without_numba():
        assert info.codec.survivors_at_once(info.body, base.arrays) is None
        stepwise = info.codec.decode_survivors(info.body, base.template.specs, base=base.arrays)
    assert at_once.dtype == stepwise.dtype == np.float32
    assert at_once.tobytes() == stepwise.tobytes()


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8", "sparse:int4"])
def test_damaged_values_are_refused_or_read_as_step_by_step(codec):
    """Every byte is changed in turn: what the loops accept, the reader accepts, with its result."""
    base, info = body_of(codec, kept=0.05, step=0.01)
    values, specs = bytes(info.body.joined), base.template.specs
    for at in range(0, len(values), 3):
        damaged = bytearray(values)
        damaged[at] ^= 1 << at % 8
        for data in (bytes(damaged), values[:at]):
            at_once = read_at_once(data, info.codec.stage, base.arrays)
            if at_once is not None:
                body = type(info.body)(info.body.mask, data, "values")
                stepwise = SparseCodec.decode_survivors(info.codec, body, specs, base=base.arrays)
                assert at_once.tobytes() == stepwise.tobytes()


@pytest.mark.parametrize("codec", ["sparse", "sparse:int8"])
def test_a_base_that_is_not_finite_is_left_to_the_reader(codec):
    arrays = held(1.0)
    arrays["fc"][0, 0] = np.nan
    _, info = body_of(codec, kept=1.0, step=0.01)
    other = Base(arrays)
    at_once = info.codec.survivors_at_once(info.body, other.arrays)
    assert (at_once is None) == (codec != "sparse")


def test_another_form_is_left_to_the_reader():
    base = Base(held(0.5))
    changed = {name: array.copy() for name, array in held(0.5).items()}
    changed["fc"].reshape(-1)[np.flatnonzero(changed["fc"])[0]] += 1
    info = describe_payload(encode_payload(changed, base=base, self_contained=False))
    assert info.codec.survivors_at_once(info.body, base.arrays) is None
    found = decode_survivors(info, base=base)
    parts = zip(base.split(found), changed.values(), strict=True)
    assert all(np.array_equal(part, array[array != 0]) for part, array in parts)


def test_damage_is_named_by_the_reader():
    base, info = body_of("sparse:int8", kept=0.05, step=0.01)
    body = type(info.body)(info.body.mask, bytes(info.body.joined)[:-4], "values")
    assert info.codec.survivors_at_once(body, base.arrays) is None
    with pytest.raises(PayloadError, match="values holds"):
        info.codec.decode_survivors(body, base.template.specs, base=base.arrays)
