"""Paper 003 in small: the grid, every way of training, computed operations, and the command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.papers.rg_gan import __main__ as command
from experiments.papers.rg_gan import material
from experiments.papers.rg_gan.__main__ import main
from experiments.papers.rg_gan.cases import Case
from experiments.papers.rg_gan.flops import layer_macs, update_flops
from experiments.papers.rg_gan.results import PAPERS_TABLE_5
from experiments.papers.rg_gan.setting import FAMILIES, METHODS, family_settings
from experiments.papers.rg_gan.training import Keeper, Run, run_case
from experiments.study.cases import read_record, run_cases
from experiments.study.results import read_samples
from flwr_gan.data import Samples
from flwr_gan.errors import ConfigError
from flwr_gan.gan import WganGpTrainer, build_networks
from flwr_gan.gan.weights import network_arrays
from flwr_gan.metrics.cost import _Counter

pytestmark = pytest.mark.usefixtures("quick_judge")

PAGE = Path(command.__file__).with_name("README.md")


@pytest.fixture(autouse=True)
def small_data(monkeypatch, bars):
    """Put bright bars and short walks in the place of MNIST and of the pen digits."""
    rng = np.random.default_rng(0)
    images = bars(440, 120, rng=rng)

    def walks(count):
        y = np.arange(count) % 10
        x = 0.1 * rng.standard_normal((count, 10, 3)) + y[:, None, None] / 10
        return Samples(x.clip(-1, 1).astype(np.float32), y)

    strokes = replace(images, train=walks(440), test=walks(120), kind="strokes")
    monkeypatch.setattr(material, "load_mnist", lambda: images)
    monkeypatch.setattr(material, "load_pendigits", lambda: strokes)


def make(family="strokes", method="rg", *, samples=400, seed=0, augmented=False, **changes):
    settings = replace(family_settings(family, "short"), **changes)
    return Case(family=family, method=method, samples=samples, seed=seed, family_settings=settings,
                augmented_data=augmented)  # fmt: skip


@pytest.fixture(scope="module")
def strokes_judge():
    return {}


def load(case, judges):
    """Return the case's material; the judge is trained once."""
    if case.family not in judges:
        judges[case.family] = material.load_material(case.family, case.family_settings)
    return judges[case.family]


def test_the_grid_has_every_comparison_of_the_paper():
    options = command.STUDY.parser().parse_args([])
    options.families, options.methods = tuple(FAMILIES), tuple(METHODS)
    options.seeds = (0, 1, 2)
    cases = command.cases(options)
    assert len({case.name for case in cases}) == len(cases)
    assert {case.seed for case in cases} == {0, 1, 2}
    sngan = [case for case in cases if case.family == "sngan" and case.seed == 1]
    whole = {c.method for c in sngan if c.samples == 10_000 and not c.augmented_data}
    assert whole == set(METHODS)
    for method in ("dense", "rg"):
        own = [case for case in sngan if case.method == method]
        shares = {case.samples for case in own if not case.augmented_data}
        assert shares == {100, 1000, 2000, 5000, 10_000}
        assert {case.samples for case in own if case.augmented_data} == {100, 1000, 10_000}
    assert {method for method, _ in PAPERS_TABLE_5} <= set(METHODS)


def test_the_full_preset_has_the_papers_lambda():
    for family in FAMILIES:
        settings = family_settings(family, "full")
        assert (settings.strength, settings.pace) == (5e-12, 1.0)
        assert settings.gan.betas == (0.0, 0.9)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_computed_operations_are_those_that_pytorch_counts(family):
    config = replace(
        FAMILIES[family].gan, depth=2, latent_dim=7, channels=(8, 6), critic_hidden=(12, 10),
        batch_size=4, critic_iterations=2,
    )  # fmt: skip
    shape = {"sngan": (32, 32), "wdcgan": (64, 64), "strokes": (5, 3)}[family]
    generator, critic = build_networks(
        config, num_vectors=shape[0], num_components=shape[1], num_classes=1, seed=0
    )
    z_BL, y_B = torch.zeros(1, 7), torch.zeros(1, dtype=torch.int64)
    x_BTC = generator(z_BL, y_B).detach()
    macs = layer_macs(generator, z_BL, y_B), layer_macs(critic, x_BTC, y_B)
    trainer = WganGpTrainer(generator, critic, config=config)
    x_NTC = np.zeros((8, *x_BTC.shape[1:]), np.float32)
    with _Counter([]) as counter:
        trainer.train(
            x_NTC, np.zeros(8, np.int64), iterations=1, rng=torch.Generator().manual_seed(0)
        )
    options = {"penalised": config.loss == "wasserstein", "trained_masks": False}
    flops = update_flops(*macs, {}, config, **options)
    assert flops.masked == flops.dense
    # the critic's fakes look their label up: a column of the first layer that is not multiplied
    looked_up = 2 * 2 * 4 * (8 * 5) if family == "strokes" else 0
    # the power iteration of SNGAN is not counted
    assert flops.dense == pytest.approx(2 * counter.dense + looked_up, rel=3e-3)
    half = {"generator": dict.fromkeys(macs[0], 0.5), "critic": dict.fromkeys(macs[1], 0.5)}
    assert update_flops(*macs, half, config, **options).masked == pytest.approx(flops.dense / 2)
    trained = update_flops(*macs, half, config, **options | {"trained_masks": True})
    assert flops.dense / 2 < trained.masked < flops.dense


def test_methods_of_one_seed_share_weights_and_samples(strokes_judge):
    cases = [make(method=method, samples=50) for method in ("dense", "regan")]
    few, more = (make(samples=count) for count in (50, 200))
    data = load(few, strokes_judge)
    first, second = (network_arrays(material.networks(case, data)[0]) for case in cases)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    small, large = (material.case_samples(case, data) for case in (few, more))
    assert np.array_equal(small.x_NTC, large.x_NTC[:50])
    other = material.case_samples(make(samples=50, seed=1), data)
    assert not np.array_equal(small.x_NTC, other.x_NTC)


@pytest.mark.long
@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_trains_and_tells(method, strokes_judge):
    case = make(method=method)
    record, shown = run_case(case, load(case, strokes_judge))
    json.dumps(record)
    checks, best = record["checks"], record["outputs"]["best"]
    trainings = METHODS[method].ticket_levels + 1
    assert len(checks) == 7 * trainings
    assert checks[-1]["update"] == 14 * trainings
    assert checks[-1]["images"] == 14 * 8 * trainings  # of all trainings of a search
    assert np.isfinite(best["frechet_distance"])
    assert shown.shape == (20, 10, 3)
    last = record["outputs"]["last"]
    masked, dense = last["flops_masked_computed"], last["flops_dense_computed"]
    pruned = METHODS[method].pruned
    if method == "dense":
        assert masked == dense
        assert last["nonzero"] == last["parameters"]
    else:
        assert masked < dense
    if method.startswith("ticket"):
        wanted = METHODS[method].ticket_sparsity
        assert last["generator_sparsity"] == pytest.approx(wanted, abs=1e-3)
        assert {check["phase"] for check in checks[7:]} == {"sparse"}
        assert best["update"] > 14 * (trainings - 1)  # of the ticket, not of what it came from
    elif method == "regan":
        assert [check["phase"] for check in checks] == ["dense"] * 2 + ["sparse"] * 2 + [
            "dense"] * 2 + ["sparse"]  # fmt: skip
        assert checks[2]["generator_sparsity"] == pytest.approx(0.3, abs=1e-3)
        assert checks[4]["generator_sparsity"] == 0
    else:
        sparse = [check for check in checks if check["phase"] == "sparse"]
        for network, letter in (("generator", "g"), ("critic", "d")):
            found = max((check[f"{network}_sparsity"] for check in sparse), default=0)
            assert (found > 0) == (letter in pruned)


@pytest.mark.long
def test_without_recurrence_nothing_comes_back(strokes_judge):
    for method, returns in (("dp_b", False), ("rr_b", True)):
        case = make(method=method)
        record, _ = run_case(case, load(case, strokes_judge))
        found = sum(check["generator_regenerated"] for check in record["checks"])
        assert (found > 0) == returns


def test_quality_that_falls_makes_both_networks_dense(strokes_judge, monkeypatch):
    case = make(method="rg")
    run = Run(case, load(case, strokes_judge))
    scores = iter([9.0, 8.0, 7.0, 6.0, 5.0, 50.0, 1.0])
    real = Run._check
    monkeypatch.setattr(Run, "_check", lambda self, *a, **k: [real(self, *a, **k), next(scores)][1])
    run.train()
    assert [check["phase"] for check in run.keeper.checks] == ["sparse"] * 6 + ["dense"]
    dense = run.keeper.checks[-1]
    assert dense["generator_sparsity"] == dense["critic_sparsity"] == 0
    assert set(run.keeper.outputs()) == {"best", "sparse", "dense", "last"}


def test_the_best_is_chosen_by_score_and_phase():
    keeper = Keeper()
    for update, (score, phase) in enumerate([(5, "sparse"), (3, "dense"), (4, "sparse")]):
        check = {"update": update, "score": score, "phase": phase}
        keeper.add(check, {}, counts=True)
    keeper.add({"update": 9, "score": 0, "phase": "sparse"}, {}, counts=False)
    found = {name: snapshot.check["update"] for name, snapshot in keeper.outputs().items()}
    assert found == {"best": 1, "sparse": 2, "dense": 1, "last": 2}
    assert len(keeper.checks) == 4


@pytest.mark.long
def test_runs_are_deterministic_and_augmentation_matters(strokes_judge):
    case = make(samples=100)
    data = load(case, strokes_judge)
    first, second = (run_case(case, data)[0] for _ in range(2))
    assert first == second
    augmented, _ = run_case(make(samples=100, augmented=True), data)
    assert augmented["checks"][0]["score"] != first["checks"][0]["score"]


@pytest.mark.parametrize(("family", "side"), [("sngan", 32), ("wdcgan", 64)])
def test_images_are_padded_or_enlarged(family, side):
    image = np.full((1, 28, 28), 0.5, np.float32)
    assert material._formed(image, family).shape == (1, side, side)
    assert material._formed(image, family)[0, 2:-2, 2:-2].min() == 0.5


def call(tmp_path, *words, methods="dense,rr_b,rg"):
    places = ["--folder", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    return main(["--short", "--families", "sngan", "--methods", methods, *places, *words])


@pytest.mark.slow
def test_the_command_runs_once_and_writes_tables_and_pictures(tmp_path, forbid, capsys):
    assert call(tmp_path) == 0
    assert "1/17 sngan_dense_n400_seed0: finished" in capsys.readouterr().out
    place = tmp_path / "results"
    runs = pd.read_csv(place / "runs.csv")
    assert set(runs["method"]) == {"dense", "rg", "rr_b"}
    assert set(runs["samples"]) == {40, 80, 100, 200, 400}
    layers = pd.read_csv(place / "layers.csv")
    assert set(layers["network"]) == {"generator", "critic"}
    assert json.loads((place / "run.json").read_text())["missing"] == []
    message = (place / "tables.md").read_text()
    assert "| SNGAN | RG-GAN, sparse output | 1 | 31.5 | 1.06 | 15.64 |" in message
    for name in ("quality", "data", "sparsity", "ablation", "samples"):
        assert (place / f"{name}.png").stat().st_size > 5000
    for part in message.split("## ")[1:]:  # every table has its place on the page
        assert f"<!-- {part.splitlines()[0]} -->\n" in PAGE.read_text()

    forbid(Case, "measure")
    assert call(tmp_path) == 0
    assert "0 of 17 runs to do" in capsys.readouterr().out


@pytest.mark.long
def test_a_failed_run_is_shown_and_the_rest_goes_on(tmp_path, break_where, capsys):
    break_where(Case, "measure", lambda case, folder: case.method == "rr_b")
    assert call(tmp_path, methods="regan,rr_b") == 1
    said = capsys.readouterr()
    assert "sngan_rr_b_n400_seed0: failed: ValueError: out of luck" in said.out
    assert said.err.strip().endswith("1 of 2 runs failed; see above")
    missing = json.loads((tmp_path / "results" / "run.json").read_text())["missing"]
    assert missing == ["sngan_rr_b_n400_seed0"]


def test_an_unusable_device_is_named(tmp_path, capsys):
    assert call(tmp_path, "--device", "nonsense") == 2
    said = capsys.readouterr().err
    assert said.startswith("rg_gan: --device nonsense is not usable: ")
    assert said.count("\n") == 1


def test_a_run_keeps_its_result_and_samples_and_refuses_other_settings(tmp_path, strokes_judge):
    case = make(samples=100)
    load(case, strokes_judge)
    assert run_cases([case], tmp_path) == 0
    assert set(read_record(case, tmp_path).result) == {"checks", "outputs"}
    assert read_samples(tmp_path / case.name).shape == (20, 10, 3)
    with pytest.raises(ConfigError, match="other settings"):
        run_cases([make(samples=100, strength=0.5)], tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seeds", "one"), "--seeds one is not allowed: give whole numbers from 0"),
        (("--seeds", "0,0"), "--seeds 0,0 names something twice: name each once"),
        (("--families", "moons"), "--families moons: allowed are sngan, wdcgan, strokes"),
        (("--methods", "luck"), f"--methods luck: allowed are {', '.join(METHODS)}"),
        (("--report",), "no run in {folder} is finished: run it without --report first"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, message):
    assert call(tmp_path, *words) in (1, 2)
    said = message.format(folder=tmp_path / "runs")
    assert capsys.readouterr().err == f"rg_gan: {said}\n"
    assert not (tmp_path / "runs").exists()
