"""The pool of one-shot tickets."""

import numpy as np
import pytest
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError
from flwr_gan.flower import CodedFitRes
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire import Template, encode_payload
from strategies import GeneratorPool

COUNTS_PK = np.array([[4, 0, 1], [0, 0, 3]])


def upload(index: int) -> dict[str, np.ndarray]:
    weights = np.full((2, 3), index + 1, np.float32)
    return {"0": weights, "1": COUNTS_PK[index].astype(np.int32)}


def generate(arrays, labels_N, seed):
    """Return samples that tell which generator made them and for which label."""
    made_by = arrays["fc.weight"][0, 0]
    return np.stack([np.full((1, 2), [made_by, k], np.float32) for k in labels_N])


def make_pool(clients=(0, 1)) -> GeneratorPool:
    template = Template.of({"fc.weight": np.zeros((2, 3), np.float32)})
    pool = GeneratorPool(template=template, num_classes=3, generate=generate)
    results = []
    for index in clients:
        payload = encode_payload(upload(index))
        result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), 1, {})
        results.append((None, CodedFitRes(result, CodedReply(payload, None, None, 1 << 20), index)))
    pool.aggregate_fit(1, results, [])
    return pool


def test_uploads_are_kept_as_they_travelled():
    assert make_pool().payloads == [encode_payload(upload(i)) for i in range(2)]


def test_a_label_is_drawn_only_from_clients_that_hold_it_in_proportion():
    labels_N = np.array([0] * 50 + [2] * 4000)
    x_NTC = make_pool().sample(labels_N, seed=1)
    made_by, asked = x_NTC[:, 0, 0], x_NTC[:, 0, 1]
    assert (asked == labels_N).all()
    assert (made_by[:50] == 1).all()
    assert abs((made_by[50:] == 2).mean() - 0.75) < 0.03


def test_sampling_is_seeded():
    pool, labels_N = make_pool(), np.full(100, 2)
    assert (pool.sample(labels_N, 3) == pool.sample(labels_N, 3)).all()
    assert (pool.sample(labels_N, 3) != pool.sample(labels_N, 4)).any()


def test_a_class_that_nobody_holds_is_an_error():
    pool = make_pool()
    assert pool.held_classes == [0, 2]
    with pytest.raises(ConfigError, match="class 1"):
        pool.sample(np.array([1]), 0)


def test_an_empty_pool_is_an_error():
    with pytest.raises(ConfigError, match="empty"):
        make_pool(clients=()).sample(np.array([0]), 0)


def test_plain_replies_are_refused():
    pool = make_pool(clients=())
    plain = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), 1, {})
    with pytest.raises(TypeError, match="CompressedStrategy"):
        pool.aggregate_fit(1, [(None, plain)], [])


def test_state_survives_a_checkpoint():
    pool, other = make_pool(), make_pool(clients=())
    other.load_state_dict(unflatten(flatten(pool.state_dict())))
    labels_N = np.full(20, 2)
    assert other.payloads == pool.payloads
    assert (other.sample(labels_N, 3) == pool.sample(labels_N, 3)).all()
