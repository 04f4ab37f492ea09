"""The study of paper 000 on one client, in small."""

import numpy as np
import pandas as pd
import pytest

from experiments.papers.compressibility_wgan.__main__ import STUDY, main
from experiments.papers.compressibility_wgan.cases import Case, find_generators
from experiments.papers.compressibility_wgan.longer.__main__ import main as longer_main
from experiments.papers.compressibility_wgan.measuring import (
    code_generators,
    kept_rows,
    score_generators,
    with_signed_zeros,
)
from experiments.papers.compressibility_wgan.results import signed_zeros
from experiments.study.cases import run_cases
from flwr_gan.app.generator_file import load_generator
from flwr_gan.errors import ConfigError, LayerCollapseError, OutputError
from flwr_gan.prune import LotteryPruner
from flwr_gan.wire import load
from tests.conftest import quick_judges

TINY = (
    "experiment=paper_scaled", "data.num_samples=160", "gan.iterations=2", "gan.channels=[8,8]",
    "gan.critic_hidden=[8,8]", "gan.batch_size=8", "gan.critic_iterations=1",
    "lottery.iterations=2", "lottery.rate=0.4",
)  # fmt: skip


def make(**changes: object) -> Case:
    settings = {"data": "strokes", "scope": "global", "seed": 0, "overrides": TINY}
    return Case(**(settings | {"controls": (2,)} | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return the folder of a study with one finished part."""
    folder = tmp_path_factory.mktemp("study")
    with quick_judges():
        assert run_cases([make()], folder) == 0
    return folder


@pytest.fixture(scope="module")
def cell(place):
    """Return the finished part of the study."""
    return make().cell(place / make().name)


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


def kept(weights):
    return {name: array != 0 for name, array in weights.items()}


@pytest.mark.long
def test_all_kinds_at_one_level_have_the_same_number_of_weights(cell):
    counts = {
        kind: sum(int(mask.sum()) for mask in kept(cell.load(kind, 2)).values())
        for kind in ("retrained", "pruned", "reinitialised", "random_mask", "one_shot")
    }
    total = sum(array.size for array in cell.load("retrained", 0).values())
    assert set(counts.values()) == {total - round(total * (1 - 0.6**2))}


def test_both_readings_share_the_mask_and_differ_in_training(cell):
    pruned, retrained = cell.load("pruned", 1), cell.load("retrained", 1)
    assert same(kept(pruned), kept(retrained))
    before = cell.load("retrained", 0)
    assert all(np.array_equal(pruned[n], before[n] * (pruned[n] != 0)) for n in pruned)
    assert not same(pruned, retrained)


def test_controls_differ_from_the_ticket_in_one_thing_each(cell):
    ticket = kept(cell.load("retrained", 2))
    assert same(ticket, kept(cell.load("reinitialised", 2)))
    random = kept(cell.load("random_mask", 2))
    assert not same(ticket, random)
    assert {n: int(m.sum()) for n, m in ticket.items()} == {
        n: int(m.sum()) for n, m in random.items()
    }


@pytest.mark.slow
def test_a_control_that_loses_a_layer_ends_and_the_rest_goes_on(tmp_path, monkeypatch):
    cell = make(controls=()).cell(tmp_path)
    prune = LotteryPruner.prune
    calls = []

    def collapse_second(pruner, weights):
        calls.append(pruner)
        if len(calls) == 4:  # ticket and control of level 1, ticket and control of level 2
            raise LayerCollapseError("layer 'fc.weight' would lose all of its weights")
        return prune(pruner, weights)

    monkeypatch.setattr(LotteryPruner, "prune", collapse_second)
    find_generators(cell)
    assert cell.path("one_shot", 1).exists()
    assert not cell.path("one_shot", 2).exists()
    assert cell.path("pruned", 2).exists()
    quality = pd.DataFrame(score_generators(cell))
    assert list(quality[quality.kind == "one_shot"].level) == [1]


def test_signs_of_zeros_are_those_before_pruning(cell):
    trained, pruned = cell.load("retrained", 0), cell.load("pruned", 1)
    signed = with_signed_zeros(cell, "pruned", 1)
    product = {name: trained[name] * (pruned[name] != 0) for name in trained}
    assert all(signed[n].tobytes() == product[n].astype(np.float32).tobytes() for n in signed)
    assert any(np.signbit(array[array == 0]).any() for array in signed.values())
    later = with_signed_zeros(cell, "pruned", 2)
    assert same(later, cell.load("pruned", 2))
    gone = {n: (pruned[n] == 0) for n in pruned}  # pruned in level 1: the initial weight's sign
    generator, _ = cell.federation.networks(cell.seed)
    initial = {n: w.detach().numpy() for n, w in generator.named_parameters()}
    assert all(
        np.array_equal(np.signbit(later[n][gone[n]]), np.signbit(initial[n][gone[n]]))
        for n in later
    )


def test_an_interrupted_part_goes_on_to_the_same_bytes(cell, tmp_path, monkeypatch):
    other, save = make().cell(tmp_path), Case.save
    with monkeypatch.context() as patch:

        def interrupted(own, kind, level, weights):
            if (kind, level) == ("retrained", 2):
                raise KeyboardInterrupt
            save(own, kind, level, weights)

        patch.setattr(Case, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            find_generators(other)
    assert other.path("retrained", 1).exists()
    before = other.path("retrained", 1).stat().st_mtime_ns
    find_generators(make().cell(tmp_path))
    assert other.path("retrained", 1).stat().st_mtime_ns == before  # not trained again
    paths = sorted(cell.folder.rglob("*.fgan"))
    assert len(paths) == 9
    for path in paths:
        own = other.folder / path.relative_to(cell.folder)
        assert own.read_bytes() == path.read_bytes(), path


@pytest.mark.long
def test_finished_rows_are_not_done_again(cell, monkeypatch):
    monkeypatch.setattr(Case, "generate", lambda *_: pytest.fail("scored again"))
    score_generators(cell)
    code_generators(cell)


@pytest.mark.long
def test_tables_and_pictures_come_from_the_cases(cell, place, tmp_path):
    results = tmp_path / "results"
    STUDY.write([make()], place, results, "x")
    copied = results / "generators" / "strokes_p00.fgan"
    assert copied.read_bytes() == cell.path("retrained", 0).read_bytes()
    assert load_generator(copied).num_classes == 39
    quality = pd.read_csv(results / "quality.csv")
    assert set(quality["kind"]) >= {"real", "retrained", "pruned", "one_shot", "random_mask"}
    table = pd.read_csv(results / "table2.csv").set_index("P")
    assert table.loc[0, "lzma_paper"] == 1.08
    assert (table.loc[2, "lzma_canonical"]) > table.loc[2, "lzma_signed"]
    headline = pd.read_csv(results / "headline.csv")
    assert set(headline["not_worse_up_to"]) == {0}  # one seed proves nothing
    page = (place / "report.html").read_text()
    assert page.count("<img") == len(list(results.glob("*.png")))
    assert "## bits\n\n| P |" in (results / "tables.md").read_text()


def test_bits_beyond_need_are_zero_where_a_coder_takes_what_is_needed():
    rho = 0.75
    needed = 32 * (1 - rho) - rho * np.log2(rho) - (1 - rho) * np.log2(1 - rho)
    row = {"P": 1, "pruned": rho, "lzma_canonical": 32 / needed}
    row |= {"lzma_paper": 32 / (needed + rho), "lzma_signed": 32 / (needed + rho)}
    found = signed_zeros(pd.DataFrame([row])).iloc[0]
    assert found["canonical_bits_per_pruned_weight"] == pytest.approx(0)
    assert found["paper_bits_per_pruned_weight"] == pytest.approx(1)


def test_results_of_other_settings_are_refused(place):
    with pytest.raises(ConfigError, match="other settings"):
        run_cases([make(overrides=(*TINY, "gan.penalty=5"))], place)


@pytest.mark.long
def test_nothing_finished_is_one_clear_line(tmp_path, capsys):
    places = ["--folder", str(tmp_path), "--results", str(tmp_path)]
    assert main(["--report", "--data=strokes", "--seeds=0", *places]) == 1
    assert "is finished: run it without --report first" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--data", "pendigitz"], "pendigits"),
        (["--scopes", "glob"], "--scopes glob: allowed are global, local"),
        (["--scopes", "local"], "give global,local"),
        (["seed=3"], "--seeds"),
        (["gan.penalti=3"], "gan.penalty"),
        (["--client", "5"], "there is no partition 5"),
        (["--workers", "0"], "--workers 0"),
        (["--seeds=-1"], "--seeds -1"),
    ],
)
def test_mistakes_are_one_clear_line(arguments, named, tmp_path, capsys):
    arguments = ["--data=strokes", "--seeds=0", "--scopes=global", *arguments]
    arguments += ["--folder", str(tmp_path)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_broken_rows_are_named(tmp_path):
    (tmp_path / "rows.json").write_text("[{")
    with pytest.raises(OutputError, match=r"rows\.json"):
        kept_rows(tmp_path / "rows.json")


@pytest.mark.slow
def test_tickets_of_the_search_are_trained_for_longer(tmp_path):
    with quick_judges():
        assert longer_main(["--short", "--seeds", "0", "--folder", str(tmp_path)]) == 0
    place = tmp_path / "pendigits_seed0"
    searched = load(place / "search" / "pruned" / "05.fgan")
    trained = load(place / "longer" / "retrained" / "05.fgan")
    before = load(place / "search" / "retrained" / "05.fgan")
    assert same(kept(searched), kept(trained))
    assert not same(before, trained)
    table = pd.read_csv(tmp_path / "results" / "summary.csv")
    assert table.loc[table["kind"] == "retrained", "level"].tolist() == [0, 5]
    assert (table.loc[table["kind"] == "retrained", "sparse:int8"] > 1).all()
