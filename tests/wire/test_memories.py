"""What senders remember: momentum as in its paper, factors, and that a restart begins anew."""

import numpy as np
import pytest

from flwr_gan.wire import encode_to_send


def far(seed):
    return np.random.default_rng(seed).normal(size=(20, 10)).astype(np.float32)


def test_momentum_correction_and_masking_as_in_the_paper():
    """(1, 0.5) twice with one weight of two and M = 0.9: sent are 1, then 1.45 of the second."""
    held = {"w": np.tile(np.array([[8.0], [16.0]], np.float32), (1, 40)) + np.arange(40) / 64}
    held = {"w": held["w"].astype(np.float32)}
    update = np.tile(np.array([[1.0], [0.5]], np.float32), (1, 40))
    residual, memory = None, None
    for expected in ([1, 0], [0, 1.45]):
        sent = encode_to_send(
            {"w": held["w"] + update},
            codec="dgc:0.5:0.9",
            base=held,
            residual=residual,
            memory=memory,
        )
        moved = sent.decoded["w"] - held["w"]
        assert np.allclose(moved, np.array(expected)[:, None], atol=1e-5)
        residual, memory, held = sent.residual, sent.memory, sent.decoded
    assert list(memory) == ["momentum/w"]
    # The first row gathered u = 1, v = 1 anew; the second was sent, and its u and v are zero.
    assert np.allclose(memory["momentum/w"], [[1.0], [0.0]], atol=1e-5)
    assert np.allclose(residual["w"], [[1.0], [0.0]], atol=1e-5)


def test_what_quantising_loses_of_a_gathered_update_is_left_over_too():
    held = {"w": far(0)}
    wanted = {"w": held["w"] + np.float32(0.1) * far(1)}
    sent = encode_to_send(wanted, codec="dgc:0.1+int4", base=held, memory={})
    assert np.array_equal(sent.residual["w"], wanted["w"] - sent.decoded["w"])
    stays = sent.decoded["w"] == held["w"]
    assert np.array_equal(
        sent.memory["momentum/w"], np.where(stays, wanted["w"] - held["w"], 0).astype(np.float32)
    )


@pytest.mark.parametrize("codec", ["topk:0.1+int4", "sparse", "sparse:int8", "eden:2"])
def test_most_codecs_remember_nothing(codec):
    assert encode_to_send({"w": far(2)}, codec=codec, base={"w": far(3)}).memory == {}


def test_factors_are_remembered_for_each_array():
    held = {"a": far(4), "b": far(5)}
    wanted = {name: array + np.float32(0.1) * far(6) for name, array in held.items()}
    first = encode_to_send(wanted, codec="powersgd:2", base=held)
    assert list(first.memory) == ["powersgd/0", "powersgd/1"]
    again = encode_to_send(wanted, codec="powersgd:2", base=held, memory=first.memory)
    error = [np.linalg.norm(s.residual["a"]) for s in (first, again)]
    assert error[1] < error[0]


def test_a_memory_that_does_not_fit_is_forgotten():
    held = {"a": far(7)}
    wanted = {"a": held["a"] + np.float32(0.1) * far(8)}
    for codec in ("powersgd:2", "dgc:0.1:0.9"):
        other = {"powersgd/0": np.ones((3, 3), np.float32), "momentum/a": np.ones(4, np.float32)}
        plain = encode_to_send(wanted, codec=codec, base=held)
        assert encode_to_send(wanted, codec=codec, base=held, memory=other).payload == plain.payload
