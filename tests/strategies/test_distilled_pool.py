"""The pool that becomes one generator."""

from functools import partial

import numpy as np
import pytest
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters

from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError
from flwr_gan.flower import CodedFitRes
from flwr_gan.flower.reply import CodedReply
from flwr_gan.gan.networks import Generator
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods.pool_distillation import PoolStudent
from flwr_gan.wire import Template, encode_payload
from strategies import DistilledPool

COUNTS_PK = np.array([[4, 0, 1], [0, 0, 3]])


def generator(seed: int) -> Generator:
    return Generator(4, 2, 3, latent_dim=4, channels=(8, 6), seed=seed)


def upload(index: int) -> dict[str, np.ndarray]:
    arrays = [*network_arrays(generator(index)).values(), COUNTS_PK[index].astype(np.int32)]
    return {str(i): array for i, array in enumerate(arrays)}


def make_pool(clients=(0, 1), **settings) -> DistilledPool:
    pool = DistilledPool(
        template=Template.of(network_arrays(generator(0))),
        num_classes=3,
        generate=None,
        new_student=partial(PoolStudent, generator(0), seed=1),
        **{"iterations": 3, "batch_size": 8, **settings},
    )
    results = []
    for index in clients:
        result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([]), 1, {})
        payload = encode_payload(upload(index))
        coded = CodedReply(payload, None, None, 1 << 20)
        results.append((None, CodedFitRes(result, coded, index)))
    assert pool.aggregate_fit(1, results, []) == (None, {})
    return pool


def test_uploads_are_kept_and_one_student_stands_for_them():
    pool = make_pool()
    assert pool.payloads == [encode_payload(upload(i)) for i in range(2)]
    assert pool.held_classes == [0, 2]
    student = pool.student_arrays()
    assert {name: a.shape for name, a in student.items()} == {
        name: a.shape for name, a in network_arrays(generator(0)).items()
    }
    initial = make_pool(iterations=1).student_arrays()
    assert any((student[name] != initial[name]).any() for name in student)


def test_samples_are_the_students():
    pool = make_pool(width=0.5)
    labels_N = np.array([0, 2, 2])
    x_NTC = pool.sample(labels_N, 3)
    stand_in = PoolStudent(generator(0), width=0.5)
    stand_in.load(pool.student_arrays())
    assert (x_NTC == stand_in.sample(labels_N, 3)).all()
    assert (x_NTC != pool.sample(labels_N, 4)).any()


def test_a_class_that_nobody_holds_is_an_error():
    with pytest.raises(ConfigError, match="class 1"):
        make_pool().sample(np.array([1]), 0)


def test_an_empty_pool_has_no_student():
    pool = make_pool(clients=())
    assert pool.student_arrays() == {}
    with pytest.raises(ConfigError, match="empty"):
        pool.sample(np.array([0]), 0)


def test_the_same_uploads_give_the_same_student():
    first, second = make_pool().student_arrays(), make_pool().student_arrays()
    assert all((first[name] == second[name]).all() for name in first)


def test_state_survives_a_checkpoint():
    pool, other = make_pool(), make_pool(clients=())
    other.load_state_dict(unflatten(flatten(pool.state_dict())))
    labels_N = np.full(20, 2)
    assert other.payloads == pool.payloads
    assert (other.sample(labels_N, 3) == pool.sample(labels_N, 3)).all()
    empty = make_pool(clients=())
    empty.load_state_dict(unflatten(flatten(make_pool(clients=()).state_dict())))
    assert empty.student_arrays() == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, r"strategy\.width=0"),
        ({"width": "wide"}, r"strategy\.width='wide'"),
        ({"learning_rate": 2}, r"strategy\.learning_rate=2"),
        ({"iterations": 0}, r"strategy\.iterations=0"),
        ({"batch_size": 1.5}, r"strategy\.batch_size=1\.5"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_pool(**settings)
