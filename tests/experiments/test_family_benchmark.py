"""The benchmark of all families: entries, cells, resuming, tables and pictures."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks.families import cases
from experiments.benchmarks.families.__main__ import STUDY, main
from experiments.benchmarks.families.cases import Case
from experiments.benchmarks.families.entries import (
    ENTRIES,
    FAMILIES,
    REFERENCE,
    read_entries,
    read_entry,
)
from experiments.benchmarks.families.material import materials
from experiments.benchmarks.families.pictures import LOOKS, SHOWN
from experiments.benchmarks.families.results import on_front, summarise
from flwr_gan.errors import ConfigError
from flwr_gan.metrics import classifier
from flwr_gan.metrics.scorecard import COLUMNS

pytestmark = pytest.mark.usefixtures("quick_judge")

PATHS = sorted(ENTRIES.glob("*.yaml"))
ONLY = ("--only", "sparse", "int8", "prune80_trained", "distil50_pixel", "--data", "digits")


@pytest.fixture(autouse=True)
def _quick_classifiers(monkeypatch):
    monkeypatch.setattr(classifier, "EPOCHS", (1, 5))  # most of the time of a short run


def call(tmp_path, *arguments):
    places = ["--folder", str(tmp_path / "run"), "--results", str(tmp_path / "results")]
    return main(["--short", *places, *arguments])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_entry_builds_and_says_what_it_is(path):
    entry = read_entry(path)  # makes its codec and its methods
    assert len(entry.methods()) == len(entry.steps)
    assert (entry.family == "combination") == ("+" in entry.label)


def test_every_family_has_entries_colours_and_a_place_on_the_page():
    entries = read_entries()
    assert entries[0].name == REFERENCE
    assert {entry.family for entry in entries} == set(FAMILIES) == set(LOOKS)
    assert len({entry.label for entry in entries}) == len(entries)
    assert set(SHOWN) <= {entry.name for entry in entries}
    page = (STUDY.home / "README.md").read_text()
    assert all(f"<!-- {name} -->" in page for name in ("budget", "digits", "pendigits", "wdcgan"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label: a\nfamily: pruning\n", "codec is missing"),
        ("label: a\nfamily: pruning\ncodec: raw\nstep: 1\n", "step is unknown"),
        ("label: a\nfamily: magic\ncodec: raw\n", "family='magic' is not allowed"),
        ("label: a\nfamily: none\ncodec: raw\nbudget: 0\n", "budget=0 is not allowed"),
        ("label: a\nfamily: none\ncodec: raw\nsteps: [{method: nothing}]\n", "method='nothing'"),
        ("label: a\nfamily: none\ncodec: raw\nsteps: [{rate: 1}]\n", "either method or _target_"),
        ("label: a\nfamily: none\ncodec: raw\nsteps: 3\n", "no list of settings"),
        ("label: a\nfamily: none\ncodec: raw\nsteps: [{_target_: builtins.dict}]\n", "no Method"),
        ("- a\n", "holds no settings"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_an_entry_that_is_wrong_is_one_clear_line(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="mine") as caught:
        read_entry(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_one_file_more_is_one_entry_more(tmp_path, capsys):
    for name in (REFERENCE, "sparse"):
        (tmp_path / f"{name}.yaml").write_text((ENTRIES / f"{name}.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(
        "label: mine\nfamily: encoding\ncodec: zlib:9\n"
        "steps: [{_target_: experiments.benchmarks.families.controls.FromScratch, width: 0.25}]\n"
    )
    assert call(tmp_path, "--entries", str(tmp_path), "--data", "digits") == 0
    rows = pd.read_csv(tmp_path / "results" / "rows.csv").set_index("entry")
    assert list(rows.index) == [REFERENCE, "sparse", "mine"]
    assert rows.loc["mine", "parameters"] < 0.3 * rows.loc[REFERENCE, "parameters"]
    assert "| mine |" in (tmp_path / "results" / "tables.md").read_text().replace("**", "")


@pytest.mark.slow
def test_the_command_measures_once_and_writes_everything(tmp_path, forbid, capsys):
    assert call(tmp_path, *ONLY) == 0
    out = capsys.readouterr().out
    assert "5/5 digits_seed0" in out
    assert "min left" in out
    rows = pd.read_csv(tmp_path / "results" / "rows.csv").set_index("entry")
    assert set(COLUMNS) <= set(rows.columns)
    assert rows["payload_bytes"][REFERENCE] > rows["payload_bytes"]["int8"]
    assert rows["frechet_ratio"][[REFERENCE, "sparse"]].tolist() == [1, 1]
    assert math.isinf(rows["psnr_db"]["sparse"])
    assert 20 < rows["psnr_db"]["int8"] < 100
    assert rows["nonzero"]["prune80_trained"] == round(0.2 * rows["parameters"][REFERENCE])
    assert rows["dense_macs"]["distil50_pixel"] < 0.6 * rows["teacher_macs"]["distil50_pixel"]
    assert (rows["train_cpu_s"] > 0).tolist() == [False, False, True, True, False]
    record = json.loads((tmp_path / "results" / "run.json").read_text())
    assert record["runs"] == 5
    assert record["command"].endswith(" ".join(["--short", *ONLY]))
    names = ("front_bytes", "front_macs", "front_cost", "samples_digits")
    assert all((tmp_path / "results" / f"{name}.png").stat().st_size > 5000 for name in names)
    assert "data:image/png" in (tmp_path / "run" / "report.html").read_text()

    forbid(Case, "measure")
    assert call(tmp_path, *ONLY) == 0
    assert "0 of 5 runs to do" in capsys.readouterr().out
    assert call(tmp_path, *ONLY, "--report") == 0


@pytest.mark.long
def test_entries_that_differ_in_the_codec_alone_share_their_training(tmp_path, monkeypatch):
    trained = []
    real = cases.compress

    def count(gan, methods, **settings):
        trained.extend(methods)
        return real(gan, methods, **settings)

    monkeypatch.setattr(cases, "compress", count)
    names = ("factored8", "factored8_int8")
    assert call(tmp_path, "--only", *names, "--data", "digits") == 0
    assert len(trained) == 1
    rows = pd.read_csv(tmp_path / "results" / "rows.csv").set_index("entry")
    assert rows["train_cpu_s"]["factored8"] == rows["train_cpu_s"]["factored8_int8"] > 0
    assert rows["payload_bytes"]["factored8"] > 2 * rows["payload_bytes"]["factored8_int8"]


@pytest.mark.slow
def test_a_failed_cell_is_shown_and_done_again_with_the_same_result(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        real = Case.measure

        def fail_one(case, folder):
            if case.entry.name == "int8":
                raise ValueError("out of luck")
            return real(case, folder)

        patch.setattr(Case, "measure", fail_one)
        assert call(tmp_path / "a", *ONLY) == 1
    said = capsys.readouterr()
    assert "int8: failed: ValueError: out of luck" in said.out
    assert said.err.strip().endswith("1 of 5 runs failed; see above")
    assert call(tmp_path / "a", *ONLY) == 0
    assert call(tmp_path / "b", *ONLY) == 0
    keep = ["entry", "payload_bytes", "frechet_distance", "psnr_db", "coverage", "sparse_macs"]
    tables = [pd.read_csv(tmp_path / name / "results" / "rows.csv")[keep] for name in "ab"]
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.long
def test_results_of_other_settings_are_refused(tmp_path, capsys):
    words = ("--only", "sparse", "--data", "digits")
    assert call(tmp_path, *words) == 0
    path = tmp_path / "run" / "digits_seed0_sparse" / "case.json"
    path.write_text(path.read_text().replace('"iterations": 4', '"iterations": 999'))
    assert call(tmp_path, *words) == 2
    assert "holds results of other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "nothing"), "--only nothing: allowed are "),
        (("--data", "mnist"), "--data mnist: allowed are digits, pendigits, wdcgan"),
        (("--seeds=-1",), "--seeds -1 is not allowed"),
        (("--seeds", "1", "1"), "--seeds 1,1 names something twice"),
        (("--report",), "is finished: run it without --report first"),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, words, message):
    assert call(tmp_path, *words) in (1, 2)
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_front_holds_what_nothing_beats():
    cost = np.array([1.0, 2.0, 2.0, 3.0, 4.0, np.nan])
    quality = np.array([5.0, 3.0, 4.0, 3.0, 1.0, 0.0])
    assert on_front(cost, quality) == [True, True, False, False, True, False]
    assert on_front(np.ones(2), np.ones(2)) == [True, True]


@pytest.mark.long
def test_means_are_over_seeds_and_ratios_of_the_same_seed(tmp_path):
    assert call(tmp_path, "--only", "int8", "--data", "digits", "--seeds", "0", "1") == 0
    rows = pd.read_csv(tmp_path / "results" / "rows.csv")
    summary = summarise(rows).set_index("entry")
    before = rows[rows["entry"] == REFERENCE]["frechet_distance"].to_numpy()
    after = rows[rows["entry"] == "int8"]["frechet_distance"].to_numpy()
    assert summary.loc["int8", "frechet_ratio"] == pytest.approx(np.mean(after / before), rel=1e-4)
    assert summary.loc["int8", "frechet_ratio_max"] == pytest.approx(max(after / before), rel=1e-4)
    assert summary.loc["int8", "seeds"] == 2


def test_short_materials_train_less():
    for full, short in zip(materials(), materials(short=True), strict=True):
        assert short.base_iterations * 50 < full.base_iterations
        assert short.gan.depth <= full.gan.depth
