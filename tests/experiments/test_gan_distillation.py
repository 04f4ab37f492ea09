"""Paper 004 in small: sizes, images, trainings that go on where they stopped, and the command."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.papers.gan_distillation import cases, images, results, scoring, training
from experiments.papers.gan_distillation.__main__ import main
from experiments.papers.gan_distillation.cases import Case, all_cases
from experiments.papers.gan_distillation.image_classifier import ImageClassifier
from experiments.papers.gan_distillation.pictures import tile
from experiments.papers.gan_distillation.setting import (
    PRESETS,
    PUBLISHED_TEACHER,
    TABLE_1,
)
from flwr_gan.core.tree import read_arrays, write_arrays
from flwr_gan.gan.weights import network_arrays
from flwr_gan.metrics import SampleJudge, classifier

pytestmark = pytest.mark.usefixtures("quick_judge")

ROLES = ("regular", "mse", "mse_drawn", "joint", "game")
LONGER = ("mse_longer", "regular_longer")
TINY = replace(
    PRESETS["short"], teacher_depth=2, depths=(1,), teacher_iterations=4, iterations=3,
    longer_depths=(), num_samples=40, judged_samples=25,
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_data(monkeypatch, bars):
    """Put bright bars and noise in the place of MNIST."""
    data = bars(120, 50)
    monkeypatch.setattr(images, "load_mnist", lambda: data)
    images.load_images.cache_clear()
    scoring.examiner.cache_clear()
    monkeypatch.setattr(classifier, "STEPS", 20)  # the perceptron need not be good


def make(role, *, depth=1, seed=0, settings=TINY):
    return Case(role=role, depth=depth, seed=seed, hyperparameters=settings)


def weights_of(case, folder):
    return read_arrays(folder / case.name / training.NETWORK)


def teach(case, folder):
    x_NTC = images.load_images(TINY).train.x_NTC
    training.train_student(case, x_NTC, folder / case.name, device="cpu")


@pytest.fixture
def teacher(tmp_path):
    case = make("regular").teacher
    x_NTC = images.load_images(TINY).train.x_NTC
    training.train_gan(case, x_NTC, tmp_path / case.name, device="cpu")
    return case


def test_every_size_of_table_1_and_its_ratio_are_the_formulas():
    depth, whole, _ = PUBLISHED_TEACHER

    def parameters(d):
        return 672 * d**2 + 12_831 * d + 1

    assert parameters(depth) == whole
    for d, row in TABLE_1.items():
        assert row.parameters == parameters(d)
        assert row.ratio == round(whole / row.parameters)
        assert row.student > row.regular
    generator, _ = training.networks(make("mse", depth=2))
    assert sum(array.size for array in network_arrays(generator).values()) == parameters(2)


def test_the_full_preset_has_the_papers_sizes():
    full = PRESETS["full"]
    assert full.teacher_depth == PUBLISHED_TEACHER[0]
    assert full.depths == tuple(TABLE_1)
    assert full.num_samples == 60_000


def test_images_are_enlarged_by_interpolation_and_always_the_same():
    flat = np.full((1, 28, 28), 0.25, dtype=np.float32)
    np.testing.assert_allclose(images.enlarge(flat), np.full((1, 64, 64), 0.25))
    half = np.concatenate([np.full((1, 14, 28), -1.0), np.full((1, 14, 28), 1.0)], axis=1)
    large = images.enlarge(half.astype(np.float32))[0]
    assert large.shape == (64, 64)
    assert (np.diff(large, axis=0) >= 0).all()
    np.testing.assert_allclose(large[[0, -1]].mean(axis=1), [-1, 1])
    first, second = (images.load_images(TINY) for _ in range(2))
    assert len(first.train) == TINY.num_samples
    assert len(first.test) == TINY.judged_samples
    assert np.array_equal(first.train.x_NTC, second.train.x_NTC)


def test_the_teacher_comes_first_and_serves_all_seeds():
    cases = all_cases((0, 1), PRESETS["default"], "cpu")
    assert cases[0].role == "teacher"
    assert sum(case.role == "teacher" for case in cases) == 1
    assert len({case.name for case in cases}) == len(cases) == 1 + 2 * (5 * 2 + 2 * 1)
    needy = [case.role for case in cases if case.needs == cases[0].name]
    assert set(needy) == {"mse", "mse_drawn", "joint", "game", "mse_longer"}


def test_student_and_regular_gan_of_one_seed_start_from_the_same_generator():
    generators = [training.networks(make(role))[0] for role in ("mse", "game", "regular")]
    first, *others = (network_arrays(generator) for generator in generators)
    for other in others:
        assert all(np.array_equal(first[name], other[name]) for name in first)
    (other, _) = training.networks(make("mse", seed=1))
    assert not np.array_equal(first["layers.0.weight"], network_arrays(other)["layers.0.weight"])


def test_small_networks_take_larger_steps():
    settings = PRESETS["default"]
    assert settings.rate(32) == settings.learning_rate
    assert settings.rate(2) == pytest.approx(4 * settings.rate(32))
    assert settings.gan(8).generator_lr == settings.gan(8).critic_lr == settings.rate(8)


def test_the_joint_loss_adds_a_critic_to_the_pixels():
    assert make("mse").losses == make("mse_drawn").losses == {"pixel": 1.0}
    joint = {"pixel": 1.0, "adversarial": TINY.adversarial}
    assert make("joint").losses == make("game").losses == joint


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "PART", 2)
    x_NTC = images.load_images(TINY).train.x_NTC
    case = make("regular", settings=replace(TINY, iterations=5))
    training.train_gan(case, x_NTC, tmp_path / "whole" / case.name, device="cpu")

    def stop():
        raise KeyboardInterrupt

    parts = tmp_path / "parts" / case.name
    for _ in range(2):  # after 2 updates, after 4, then to the end
        with pytest.raises(KeyboardInterrupt):
            training.train_gan(case, x_NTC, parts, device="cpu", on_part=stop)
        assert not training.is_trained(parts)
    training.train_gan(case, x_NTC, parts, device="cpu")
    whole, parts = (weights_of(case, tmp_path / name) for name in ("whole", "parts"))
    assert list(whole) == list(parts)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    assert not (tmp_path / "parts" / case.name / training.CHECKPOINT).exists()


def test_a_student_comes_nearer_to_its_teacher(teacher, tmp_path):
    before, _ = training.networks(make("mse", settings=TINY))
    generator, _ = training.load_network(teacher, tmp_path / teacher.name)
    wanted = scoring.draw(generator, 20)
    case = make("mse", settings=replace(TINY, iterations=30))
    teach(case, tmp_path)
    after, _ = training.load_network(case, tmp_path / case.name)
    errors = [np.square(scoring.draw(student, 20) - wanted).mean() for student in (before, after)]
    assert errors[1] < 0.8 * errors[0]


def test_a_student_leaves_its_teacher_alone_and_each_way_of_training_differs(teacher, tmp_path):
    before = weights_of(teacher, tmp_path)
    roles = ("mse", "mse_drawn", "joint", "game")
    for role in roles:
        teach(make(role), tmp_path)
    after = weights_of(teacher, tmp_path)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    found = [weights_of(make(role), tmp_path) for role in roles]
    assert "critic/layers.0.weight" not in found[0]
    assert len({weights["generator/layers.0.weight"].tobytes() for weights in found}) == len(roles)


def test_a_student_starts_at_its_teachers_mean_and_the_control_as_drawn(teacher, tmp_path):
    generator, _ = training.load_network(teacher, tmp_path / teacher.name)
    mean = scoring.draw(generator, 200).mean()
    drawn, _ = training.networks(make("mse"))
    for role in ("mse", "mse_drawn"):
        case = make(role, settings=replace(TINY, iterations=1))
        teach(case, tmp_path)
        found = scoring.draw(training.load_network(case, tmp_path / case.name)[0], 20)
        if role == "mse":
            assert found.mean() == pytest.approx(mean, abs=0.1)
        else:
            assert found.mean() == pytest.approx(scoring.draw(drawn, 20).mean(), abs=0.1)


@pytest.mark.long
def test_images_that_do_not_depend_on_the_latent_vector_are_counted_as_blank(teacher, tmp_path):
    examiner = scoring.Examiner(images.load_images(TINY))
    path = tmp_path / teacher.name / training.NETWORK
    assert examiner.score(teacher, path.parent)["blank"] == 0
    arrays = read_arrays(path)
    write_arrays(
        path, arrays | {"generator/layers.0.weight": 0 * arrays["generator/layers.0.weight"]}
    )
    assert examiner.score(teacher, path.parent)["blank"] == 1


def test_scores_have_bytes_of_the_payload_and_quality_before_and_after_8_bits(teacher, tmp_path):
    examiner = scoring.Examiner(images.load_images(TINY))
    row = examiner.score(teacher, tmp_path / teacher.name)
    assert row["parameters"] == 672 * 4 + 12_831 * 2 + 1
    assert row["dense_bytes"] == 4 * row["parameters"]
    assert row["dense_bytes"] / 4 > row["int8_bytes"] > row["dense_bytes"] / 8
    assert row["dense_bytes"] > row["sparse_bytes"] > 3 * row["int8_bytes"]
    assert 1 <= row["inception_score"] <= 10
    assert np.isnan(row["psnr_db"])  # the teacher is not compared with itself
    assert row["int8_frechet_distance"] != row["frechet_distance"]
    assert row["mlp_frechet_distance"] != row["frechet_distance"]
    student = make("mse")
    teach(student, tmp_path)
    assert 0 < examiner.score(student, tmp_path / student.name)["psnr_db"] < 60
    assert 0 <= examiner.real["judge_accuracy"] <= 1
    assert examiner.real["frechet_distance"] < row["frechet_distance"]


@pytest.mark.long
def test_the_judge_is_determined_by_its_seed_and_knows_real_images():
    data = images.load_images(replace(TINY, num_samples=120))
    judges = [
        SampleJudge(
            data.train, data.test, num_classes=10, seed=0,
            classifier=ImageClassifier(data.train, seed=seed),
        )
        for seed in (0, 0, 1)
    ]  # fmt: skip
    first, again, other = (judge.score(data.train.x_NTC, None, 0) for judge in judges)
    assert first == again != other
    noise = np.random.default_rng(0).uniform(-1, 1, data.test.x_NTC.shape).astype(np.float32)
    worse = judges[0].score(noise, None, 0)
    assert worse["frechet_distance"] > 2 * first["frechet_distance"]
    assert worse["coverage"] < first["coverage"]


def test_images_are_tiled_row_by_row():
    x_nTC = np.arange(16, dtype=np.float32)[:, None, None] * np.ones((16, 2, 3), dtype=np.float32)
    tiled = tile(x_nTC)
    assert tiled.shape == (4, 24)
    assert list(tiled[0, ::3]) == list(range(8))
    assert list(tiled[2, ::3]) == list(range(8, 16))


def test_differences_are_paired_by_depth_and_seed_and_show_the_worst():
    rows = [
        {"role": role, "depth": 2, "seed": seed, "recall": 0.5, "coverage": 0.5}
        | {"inception_score": score, "frechet_distance": distance}
        for role, seed, score, distance in (
            ("regular", 0, 2.0, 50.0), ("regular", 1, 4.0, 30.0), ("mse", 0, 3.0, 40.0),
            ("mse", 1, 4.5, 35.0), ("joint", 2, 9.0, 1.0), ("mse_longer", 0, 5.0, 5.0),
            ("regular_longer", 0, 4.0, 7.0),
        )
    ]  # fmt: skip
    row, longer = results.to_rivals(pd.DataFrame(rows)).to_dict("records")
    assert (row["role"], longer["role"]) == ("mse", "mse_longer")
    assert longer["frechet_distance"] == pytest.approx(-2.0)
    assert row["seeds"] == 2
    assert row["inception_score"] == pytest.approx(0.75)
    assert row["inception_score_worst"] == pytest.approx(0.5)
    assert row["frechet_distance_worst"] == pytest.approx(5.0)


def call(tmp_path, *arguments):
    places = ["--folder", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    small = ["--short", "--samples", "60", "--depths", "1", "--iterations", "2"]
    return main([*small, "--teacher-iterations", "2", *places, *arguments])


@pytest.mark.long
def test_the_command_trains_once_and_writes_tables_and_pictures(tmp_path, forbid, capsys):
    assert call(tmp_path) == 0
    assert "5/8 joint_d1_seed0: inception_score" in capsys.readouterr().out
    place = tmp_path / "results"
    runs = pd.read_csv(place / "runs.csv")
    assert list(runs["role"]) == ["teacher", *ROLES, *LONGER]
    assert list(runs["iterations"]) == [2] * 6 + [4, 4]
    assert runs["ratio"].iloc[0] == 1
    assert len(pd.read_csv(place / "differences.csv")) == 5
    record = json.loads((place / "run.json").read_text())
    assert record["missing"] == []
    assert record["real"]["inception_score"] > 1
    assert "student, joint loss" in (place / "tables.md").read_text()
    assert all((place / name).stat().st_size > 5000 for name in ("quality.png", "samples.png"))

    forbid(cases, "train_gan")
    forbid(cases, "train_student")
    assert call(tmp_path) == 0
    assert "0 of 8 runs to do" in capsys.readouterr().out


@pytest.mark.long
def test_a_failed_training_is_shown_and_the_rest_goes_on(tmp_path, break_where, capsys):
    break_where(cases, "train_student", lambda case, *_: case.role == "mse")
    assert call(tmp_path) == 1
    said = capsys.readouterr()
    assert "mse_d1_seed0: failed: ValueError: out of luck" in said.out
    assert said.err.strip().endswith("1 of 8 runs failed; see above")
    record = json.loads((tmp_path / "results" / "run.json").read_text())
    assert record["missing"] == ["mse_d1_seed0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "one"), "--seeds one is not allowed: give whole numbers from 0"),
        (("--seeds", "0,0"), "--seeds 0,0 names something twice: name each once"),
        (("--depths", "0"), "depths=(0,) is not allowed: give numbers from 1, each once"),
        (("--iterations", "0"), "iterations=0 is not allowed: give at least 1"),
        (("--samples", "100000"), "--samples 100000: there are 120 training images"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, words, message):
    assert call(tmp_path, *words) == 2
    assert capsys.readouterr().err == f"gan_distillation: {message}\n"
    assert not (tmp_path / "runs").exists()


def test_an_unusable_device_is_named(tmp_path, capsys):
    assert call(tmp_path, "--device", "nonsense") == 2
    said = capsys.readouterr().err
    assert said.startswith("gan_distillation: --device nonsense is not usable: ")
    assert said.count("\n") == 1


def test_a_regular_gan_does_not_depend_on_what_students_learn_by():
    case = make("regular")
    assert case.settings == make("regular", settings=replace(TINY, adversarial=0.5)).settings
    assert case.settings != make("regular", settings=replace(TINY, iterations=9)).settings


def test_a_report_needs_a_teacher(tmp_path, capsys):
    assert call(tmp_path, "--report") == 1
    assert "is finished: run it without --report first" in capsys.readouterr().err
