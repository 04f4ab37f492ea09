"""A pool as one teacher, and the student that learns from it."""

import numpy as np
import pytest
import torch

from flwr_gan.errors import DataError
from flwr_gan.gan.networks import Generator
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods.chain import channel_counts
from flwr_gan.methods.pool_distillation import PoolStudent, PoolTeacher
from tests.methods.small_gans import assert_same
from tests.methods.tiny_gans import seeded

COUNTS_PK = np.array([[1, 0, 4], [2, 5, 0], [1, 0, 4], [0, 0, 0]])
SHARE_PK = np.array([[0.25, 0, 0.5], [0.5, 1, 0], [0.25, 0, 0.5], [0, 0, 0]])


def member(index: int) -> Generator:
    return Generator(4, 2, 3, latent_dim=4, channels=(8, 6), seed=index)


def load(index: int):
    return network_arrays(member(index))


def pool() -> PoolTeacher:
    return PoolTeacher(member(9), load, COUNTS_PK)


def drawn(count: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = seeded(seed)
    return torch.randn(count, 4, generator=rng), torch.randint(3, (count,), generator=rng)


def test_members_answer_in_proportion_to_their_shares():
    z_BL, y_B = drawn(30_000)
    owner_B, _ = pool().owners(z_BL, y_B)
    for k in range(3):
        found_P = np.bincount(owner_B[y_B == k].numpy(), minlength=4) / (y_B == k).sum().item()
        np.testing.assert_allclose(found_P, SHARE_PK[:, k], atol=0.015)
        assert (found_P[SHARE_PK[:, k] == 0] == 0).all()


def test_owners_are_slabs_of_the_first_latent_number():
    """Quartiles of N(0, 1) lie at -0.67449, 0 and 0.67449."""
    first_B = torch.tensor([-40.0, -0.6746, -0.6743, 0.6743, 0.6746, 40.0])
    z_BL = torch.cat([first_B[:, None], torch.ones(6, 3)], dim=1)
    owner_B, own_BL = pool().owners(z_BL, torch.zeros(6, dtype=torch.int64))
    assert owner_B.tolist() == [0, 0, 1, 1, 2, 2]
    assert own_BL.isfinite().all()
    assert (own_BL[:, 1:] == 1).all()


def test_each_member_sees_the_whole_normal_distribution():
    z_BL, y_B = drawn(60_000)
    owner_B, own_BL = pool().owners(z_BL, y_B)
    for owner, k in ((0, 0), (1, 0), (1, 1), (2, 2)):
        first_B = own_BL[(owner_B == owner) & (y_B == k), 0]
        assert abs(first_B.mean().item()) < 0.05
        assert abs(first_B.std().item() - 1) < 0.05


def test_a_pool_of_one_is_its_member():
    z_BL, y_B = drawn(50)
    alone = PoolTeacher(member(9), load, np.ones((1, 3), np.int64))
    with torch.no_grad():
        torch.testing.assert_close(alone(z_BL, y_B), member(0)(z_BL, y_B), atol=1e-5, rtol=0)


def test_a_sample_is_its_owners_and_follows_from_latent_and_label_alone():
    teacher = pool()
    z_BL, y_B = drawn(40)
    with torch.no_grad():
        together = teacher(z_BL, y_B)
        owner_B, own_BL = teacher.owners(z_BL, y_B)
        for i, owner in enumerate(owner_B.tolist()):
            one = slice(i, i + 1)
            alone = teacher(z_BL[one], y_B[one])
            torch.testing.assert_close(alone, together[one])
            torch.testing.assert_close(member(owner)(own_BL[one], y_B[one]), together[one])


def learnt(iterations: int = 20, **settings) -> PoolStudent:
    student = PoolStudent(member(9), iterations=iterations, **settings)
    student.learn(load, COUNTS_PK)
    return student


@pytest.mark.long
def test_the_student_comes_near_the_pool():
    z_BL, y_B = drawn(500, seed=7)

    def error(student: PoolStudent) -> float:
        generator = member(9)
        generator.load_state_dict(
            {name: torch.from_numpy(array) for name, array in student.arrays().items()}
        )
        with torch.no_grad():
            return (generator(z_BL, y_B) - pool()(z_BL, y_B)).square().mean().item()

    assert error(learnt(150, learning_rate=0.01)) < error(PoolStudent(member(9))) / 2


def test_learning_is_seeded_and_leaves_the_global_state():
    state = torch.get_rng_state()
    assert_same(learnt().arrays(), learnt().arrays())
    assert torch.equal(torch.get_rng_state(), state)
    assert (learnt(seed=1).arrays()["fc.weight"] != learnt().arrays()["fc.weight"]).any()


def test_width_makes_the_student_narrower():
    student = learnt(1, width=0.5)
    arrays = student.arrays()
    assert arrays["conv1.weight"].shape == (3, 4, 3)
    assert channel_counts(member(9)) == (8, 6)
    assert student.sample(np.array([0, 1, 2]), 3).shape == (3, 4, 2)


def test_a_student_that_is_loaded_is_the_same():
    student, other = learnt(), PoolStudent(member(9), seed=5)
    other.load(student.arrays())
    labels_N = np.array([0, 1, 2, 2])
    assert (other.sample(labels_N, 3) == student.sample(labels_N, 3)).all()
    with pytest.raises(DataError):
        PoolStudent(member(9), width=0.5).load(student.arrays())
