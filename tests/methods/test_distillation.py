"""Distillation: what a student learns, from which terms, and what stays as it was."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from flwr_gan.errors import ConfigError, DataError, TrainingError
from flwr_gan.gan.networks import Generator
from flwr_gan.methods.chain import channel_counts, cut, resized, with_maps
from flwr_gan.methods.channels import largest_filters
from flwr_gan.methods.distillation import balanced_weights, distil
from flwr_gan.methods.distillation_losses import TERMS
from flwr_gan.methods.distillation_method import Distillation
from tests.methods.small_gans import assert_leaves_the_gan_and_repeats
from tests.methods.tiny_gans import FAMILIES, outputs, same_arrays, seeded, tiny_gan

EVERY = dict.fromkeys(TERMS, 1.0)


def taught(losses, *, family="vectors", iterations=3, seed=0, **settings):
    """Return a student of the teacher's form and the log of its distillation."""
    gan = tiny_gan(family)
    student = resized(gan.generator, channel_counts(gan.generator), seed=5)
    log = distil(
        student,
        **{
            "teacher": gan.generator,
            "critic": gan.critic,
            "labels_N": gan.y_N,
            "losses": losses,
            "iterations": iterations,
            "batch_size": 8,
            "rng": seeded(seed),
            **settings,
        },
    )
    return student, log


@pytest.mark.long
def test_a_student_of_the_same_form_comes_near_its_teacher():
    gan = tiny_gan()
    student = resized(gan.generator, channel_counts(gan.generator), seed=5)

    def error() -> float:
        return float(np.square(outputs(student) - outputs(gan.generator)).mean())

    before = error()
    distil(
        student,
        teacher=gan.generator,
        labels_N=gan.y_N,
        losses={"pixel": 1.0},
        iterations=200,
        learning_rate=0.01,
        rng=seeded(),
    )
    assert error() < before / 10


def test_the_first_loss_is_that_of_the_untrained_student_on_the_drawn_batch():
    gan = tiny_gan()
    student = resized(gan.generator, channel_counts(gan.generator), seed=5)
    rng = seeded()
    y_B = torch.from_numpy(gan.y_N)[torch.randint(24, (8,), generator=rng)]
    z_BL = torch.randn(8, 4, generator=rng)
    with torch.no_grad():
        expected = (student(z_BL, y_B) - gan.generator(z_BL, y_B)).square().mean()
    _, log = taught({"pixel": 2.0}, iterations=1)
    assert log.terms["pixel"][0] == pytest.approx(float(expected), rel=1e-5)
    assert log.total_I[0] == pytest.approx(2 * float(expected), rel=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_drawn_student_starts_at_its_teachers_mean_colour_if_it_makes_images(family):
    gan = tiny_gan(family)
    student = Distillation(width=1.0).first_student(gan.generator, seeded(7))
    seed = int(torch.randint(2**62, (), generator=seeded(7)))
    drawn = resized(gan.generator, channel_counts(gan.generator), seed=seed)
    if family == "vectors":
        np.testing.assert_array_equal(outputs(student), outputs(drawn))
    else:
        mean = outputs(gan.generator).mean()
        assert abs(outputs(student).mean() - mean) < 0.1
        assert outputs(student).std(axis=0).mean() < 0.3 * outputs(drawn).std(axis=0).mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_combine_the_terms_linearly(family):
    weights = {name: 0.5 + i for i, name in enumerate(TERMS)}
    _, log = taught(weights, family=family)
    assert list(log.terms) == list(TERMS)
    total_I = sum(weights[name] * log.terms[name] for name in TERMS)
    np.testing.assert_allclose(log.total_I, total_I, rtol=1e-5)


@pytest.mark.parametrize("name", list(TERMS))
def test_each_term_alone_moves_the_student_and_goes_down(name):
    _, log = taught({name: 1.0}, iterations=100, learning_rate=0.01, batch_size=32)
    assert log.terms[name][-10:].mean() < log.terms[name][:10].mean()


@pytest.mark.parametrize("family", FAMILIES)
def test_teacher_and_critic_stay_and_the_same_seed_gives_the_same_student(family):
    method = Distillation(losses=EVERY, batch_size=4)
    student = assert_leaves_the_gan_and_repeats(method, tiny_gan(family))
    assert all(p.grad is None for p in student.parameters())


def test_another_seed_gives_another_student():
    assert not same_arrays(taught({"pixel": 1.0}, seed=0)[0], taught({"pixel": 1.0}, seed=1)[0])


def test_terms_of_weight_0_are_as_if_they_were_not_there():
    zeros = {name: 0.0 for name in TERMS if name != "pixel"}
    alone, log = taught({"pixel": 1.0}, critic=None)
    beside, _ = taught({"pixel": 1.0, **zeros})
    assert same_arrays(alone, beside)
    assert list(log.terms) == ["pixel"]


def test_balanced_terms_pull_with_equal_force_at_the_start():
    gan = tiny_gan()
    student = resized(gan.generator, channel_counts(gan.generator), seed=5)
    z_BL, y_B = torch.randn(4, student.latent_dim, generator=seeded()), torch.tensor([0, 1, 2, 0])
    made = student(z_BL, y_B)
    terms = torch.stack([made.square().mean(), 1000 * made.mean()])
    weights = {"pixel": 1.0, "adversarial": 0.25}
    balanced = balanced_weights(weights, terms, list(student.parameters()))
    pulls = [
        torch.cat(
            [
                g.flatten()
                for g in torch.autograd.grad(
                    weight * term, list(student.parameters()), retain_graph=True
                )
            ]
        ).norm()
        for weight, term in zip(balanced, terms, strict=True)
    ]
    assert balanced[0] == 1.0
    assert pulls[1].item() == pytest.approx(0.25 * pulls[0].item(), rel=1e-5)


def test_a_balanced_training_goes_on_with_the_factors_of_its_start():
    joint = {"pixel": 1.0, "adversarial": 1e-4}
    heavier = {"pixel": 1.0, "adversarial": 1.0}
    assert not same_arrays(taught(joint)[0], taught(heavier)[0])
    alone, _ = taught({"pixel": 1.0})
    assert same_arrays(taught({"pixel": 1.0}, balanced=True)[0], alone)
    _, log = taught(heavier, balanced=True)
    factor = (log.total_I - log.terms["pixel"]) / log.terms["adversarial"]
    assert factor == pytest.approx(np.full(3, factor[0]), rel=1e-3)
    assert factor[0] != pytest.approx(1.0, rel=1e-2)


def test_a_term_without_a_gradient_cannot_be_balanced():
    gan = tiny_gan()
    with pytest.raises(TrainingError, match=r"losses\.pixel has no gradient at the start"):
        distil(
            gan.generator,
            teacher=deepcopy(gan.generator),
            labels_N=gan.y_N,
            losses={"pixel": 1.0},
            iterations=1,
            balanced=True,
            rng=seeded(),
        )


def test_mappings_are_trained(monkeypatch):
    kept = []

    def keep(student, teacher, *, seed):
        mappings = original(student, teacher, seed=seed)
        kept.append((mappings, [p.detach().clone() for p in mappings.parameters()]))
        return mappings

    from flwr_gan.methods import distillation

    original = distillation.channel_mappings
    monkeypatch.setattr(distillation, "channel_mappings", keep)
    taught({"features": 1.0})
    ((mappings, before),) = kept
    assert [tuple(m.weight.shape) for m in mappings] == [(8, 8, 1), (6, 6, 1)]
    assert all((p != b).any() for p, b in zip(mappings.parameters(), before, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_maps_are_those_of_the_hidden_layers_and_carry_gradients(family):
    generator = tiny_gan(family).generator
    z_BL, y_B = torch.randn(3, 4, generator=seeded()), torch.arange(3)
    x_BTC, maps = with_maps(generator, z_BL, y_B)
    assert [m.shape[:2] for m in maps] == [(3, c) for c in channel_counts(generator)]
    assert torch.equal(x_BTC, generator(z_BL, y_B))
    assert all(m.requires_grad for m in maps)


def test_parametrised_students_can_learn():
    gan = tiny_gan()
    student = resized(gan.generator, channel_counts(gan.generator), seed=5)
    nn.utils.parametrizations.weight_norm(student.fc)
    log = distil(
        student,
        teacher=gan.generator,
        labels_N=gan.y_N,
        losses={"pixel": 1.0, "features": 1.0},
        iterations=60,
        learning_rate=0.01,
        rng=seeded(),
    )
    assert log.total_I[-5:].mean() < log.total_I[:5].mean()


def test_no_iterations_train_nothing():
    gan = tiny_gan()
    student, log = taught({"pixel": 1.0}, iterations=0)
    assert same_arrays(student, resized(gan.generator, channel_counts(gan.generator), seed=5))
    assert log.total_I.shape == (0,)


@pytest.mark.parametrize(
    ("losses", "settings", "message"),
    [
        ({"pixl": 1.0}, {}, r"losses\.pixl is unknown: allowed are .* \(nearest: pixel\)"),
        ({"cycle": 1.0}, {}, r"losses\.cycle is unknown"),
        ({"pixel": -1.0}, {}, r"losses\.pixel=-1\.0 is not allowed"),
        ({"pixel": 0.0}, {}, "at least one of"),
        ({"adversarial": 1.0}, {"critic": None}, "adversarial needs the teacher's critic"),
        ({"class": 1.0}, {"critic": nn.Identity()}, "with a method features"),
        ({"triplet": 1.0}, {}, r"losses\.triplet is unknown"),
        ({"pixel": 1.0}, {"iterations": -1}, "iterations=-1"),
        ({"pixel": 1.0}, {"batch_size": 0}, "batch_size=0"),
        ({"pixel": 1.0}, {"learning_rate": 0}, "learning_rate=0"),
        ({"pixel": 1.0}, {"teacher": Generator(4, 2, 5, latent_dim=4)}, "num_classes is 3"),
        ({"features": 1.0}, {"teacher": tiny_gan("depth").generator}, "num_vectors"),
    ],
)
def test_what_does_not_go_together_is_one_clear_line(losses, settings, message):
    with pytest.raises(ConfigError, match=message) as error:
        taught(losses, **settings)
    assert "\n" not in str(error.value)


def test_labels_must_fit():
    with pytest.raises(DataError, match="label 3 is unknown"):
        taught({"pixel": 1.0}, labels_N=np.array([3]))
    with pytest.raises(DataError, match="labels have shape"):
        taught({"pixel": 1.0}, labels_N=np.array([], np.int64))


def test_a_loss_that_is_not_finite_is_an_error():
    gan = tiny_gan()
    with torch.no_grad():
        gan.generator.fc.weight[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="weighted loss is nan at iteration"):
        taught({"pixel": 1.0}, teacher=gan.generator)


@pytest.mark.parametrize(
    ("settings", "family", "channels"),
    [
        ({"width": 0.5}, "vectors", (4, 3)),
        ({"width": 0.01}, "vectors", (1, 1)),
        ({"width": 1.0}, "depth", (6, 5, 4, 3)),
        ({"depth": 1}, "depth", (8, 4, 2, 1)),
    ],
)
def test_width_and_depth_decide_the_form(settings, family, channels):
    gan, method = tiny_gan(family), Distillation(batch_size=2, **settings)
    assert channel_counts(method.student(gan.generator)) == channels
    made = method.compress(gan, iterations=1, rng=seeded())
    assert channel_counts(made) == channels


@pytest.mark.parametrize("family", FAMILIES)
def test_a_student_that_inherits_starts_as_the_pruned_teacher(family):
    gan = tiny_gan(family)
    made = Distillation(width=0.5, inherit=True).compress(gan, iterations=0, rng=seeded())
    counts = [max(1, round(0.5 * count)) for count in channel_counts(gan.generator)]
    assert same_arrays(made, cut(gan.generator, largest_filters(gan.generator, counts)))
    anew = Distillation(width=0.5).compress(gan, iterations=0, rng=seeded())
    assert not same_arrays(made, anew)


def test_a_depth_must_fit_the_teacher():
    with pytest.raises(ConfigError, match="depth=2 is not for a Generator"):
        Distillation(depth=2).student(tiny_gan().generator)
    with pytest.raises(ConfigError, match="lower it"):
        Distillation(depth=9, inherit=True).student(tiny_gan("depth").generator)
