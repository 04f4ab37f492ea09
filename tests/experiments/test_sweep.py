"""The sweep command: what it runs, skips, derives, survives and leaves behind."""

import html
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from experiments import sweep
from experiments.plan import make_plan
from experiments.study import app_runs
from flwr_gan.app.compared import codec_folder
from flwr_gan.app.config import load_config
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import CodecError, ConfigError, DataError
from flwr_gan.wire import load

TIMES = ["encode_s", "decode_s"]
SETTINGS = (
    "strategy=fedavg federation.rounds=1 federation.num_clients=2 partition=iid seed=3 "
    "samples_per_class=20 evaluation=none gan.local_iterations=1 gan.channels=[8,8] "
    "gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1"
)


class Trainings:
    """Counts what is trained; pretends to train, or meets an error instead."""

    def __init__(self) -> None:
        self.started: list[list[str]] = []
        self.instead: list[BaseException | None] = []

    def __call__(self, overrides: list[str]) -> None:
        self.started.append(overrides)
        config = load_config(overrides)
        write_text(config.folder / "config.yaml", config.to_yaml())
        if self.instead and (error := self.instead.pop(0)) is not None:
            raise error
        for codec in config.also_codecs:
            folder = codec_folder(config.folder, codec)
            own = {"codec": codec, "also_codecs": [], "output_dir": str(folder)}
            write_text(
                folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.merge(config.resolved, own))
            )
            self._write_summary(folder, codec, trained_by=str(config.folder))
        self._write_summary(config.folder, config.codec)

    def _write_summary(self, folder: Path, codec: str, **trained_by: str) -> None:
        totals = {f"{way}_bytes": 1000 * len(codec) for way in ("up", "down")}
        totals |= {"payload_up_ratio": 2.0, "message_up_ratio": 1.5}
        summary = {"codec": codec, "totals": totals, "final": {"sparsity": 0.5}, "wall_s": 1.0}
        write_text(folder / "summary.json", json.dumps(summary | trained_by))


@pytest.fixture
def trainings(monkeypatch) -> Trainings:
    """Stand in for the training of all runs."""
    counter = Trainings()
    monkeypatch.setattr(app_runs, "train", counter)
    return counter


@pytest.fixture
def real_trainings(monkeypatch) -> list[list[str]]:
    """Take down what is trained."""
    started: list[list[str]] = []
    train = app_runs.train
    monkeypatch.setattr(app_runs, "train", lambda items: (started.append(items), train(items)))
    return started


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a sweep and returns its exit status and its table."""

    def run(*swept: str, more: tuple[str, ...] = ()) -> tuple[int, pd.DataFrame]:
        folder = tmp_path / "sweep"
        status = sweep.main(["-m", *SETTINGS.split(), *more, f"sweep_dir={folder}", *swept])
        path = folder / "results.csv"
        return status, pd.read_csv(path) if path.exists() else pd.DataFrame()

    return run


def row(table: pd.DataFrame, **values: object) -> pd.Series:
    for key, value in values.items():
        table = table[table[key.replace("__", ".")] == value]
    (found,) = (row for _, row in table.iterrows())
    return found


def messages(folder: str | Path) -> pd.DataFrame:
    return pd.read_csv(Path(folder) / "messages.csv").drop(columns=TIMES)


@pytest.mark.slow
def test_lossless_codecs_share_one_training_and_lossy_ones_train_alone(start, trainings):
    status, table = start("codec=zlib,sparse:int8,raw,lzma", "seed=3,4")
    assert status == 0
    assert len(trainings.started) == 4
    assert len(table) == 8
    assert set(table.status) == {"finished"}
    zlib = row(table, codec="zlib", seed=3)
    assert zlib.trained_by == row(table, codec="raw", seed=3).output_dir
    lossy = row(table, codec="sparse:int8", seed=3)
    assert lossy.trained_by == lossy.output_dir
    assert row(table, codec="lzma", seed=4).up_bytes == 4000


@pytest.mark.slow
def test_a_derived_run_equals_one_that_really_used_its_codec(start, simulate):
    _, table = start("codec=raw,zlib,sparse,bz2")
    settings = SETTINGS
    for codec in ("zlib", "sparse", "bz2"):
        derived = Path(row(table, codec=codec).output_dir)
        own = simulate(f"{settings} codec={codec}", folder=codec)
        pd.testing.assert_frame_equal(messages(own), messages(derived))
        rounds = [pd.read_csv(f / "rounds.csv").drop(columns="wall_s") for f in (own, derived)]
        pd.testing.assert_frame_equal(*rounds)
        totals = [json.loads((f / "summary.json").read_text())["totals"] for f in (own, derived)]
        assert totals[0] == totals[1]
        assert row(table, codec=codec).up_bytes == totals[0]["up_bytes"]
        payloads = [(f / "generators" / "global.fgan").read_bytes() for f in (own, derived)]
        assert payloads[0] == payloads[1]
        assert list(load(derived / "generators" / "global.fgan"))
        assert f"output_dir: {derived}" in (derived / "config.yaml").read_text()
        files = [
            {p.name for p in f.iterdir()} - {"case.json", "result.json"} for f in (own, derived)
        ]
        assert files[0] == files[1]


@pytest.mark.long
def test_the_same_sweep_started_again_does_nothing(start, trainings):
    _, first = start("codec=zlib,lzma", "seed=3,4")
    trainings.started.clear()
    status, second = start("codec=zlib,lzma", "seed=3,4")
    assert status == 0
    assert trainings.started == []
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.slow
def test_values_that_are_added_train_once_more_and_keep_the_rest(start, trainings):
    start("codec=zlib,lzma", more=("gan.latent_dim=32",))
    trainings.started.clear()
    # Whether a setting is swept or given to all jobs makes no other run of it.
    _, table = start("codec=zlib,lzma,sparse,bz2", "gan.latent_dim=32")
    assert len(trainings.started) == 1
    assert len(table) == 4
    trainings.started.clear()
    _, table = start("codec=zlib,lzma,bz2,raw", "gan.latent_dim=32,16")
    assert len(trainings.started) == 2
    assert set(table.status) == {"finished"}


@pytest.mark.long
def test_a_failed_job_does_not_end_the_sweep_and_is_tried_again(start, trainings, capsys):
    status, table = start("lottery.rate=2,0.5", "codec=zlib,lzma")
    assert status == 1
    failed, finished = table[table.status == "failed"], table[table.status == "finished"]
    assert list(failed["lottery.rate"]) == [2, 2]
    assert list(finished["lottery.rate"]) == [0.5, 0.5]
    assert failed.reason.str.contains("lottery.rate=2").all()
    assert "\n" not in failed.reason.iloc[0]
    shown = capsys.readouterr()
    assert "2 of 4 jobs failed" in shown.err
    first = shown.out.index("codec=zlib: lottery.rate=2")
    assert first < shown.out.index("1/2 ")  # named before anything runs
    page = (Path(finished.output_dir.iloc[0]).parent / "report.html").read_text()
    assert "2 of 4 runs failed" in page
    assert page.count("lottery.rate=2") >= 2
    assert len(trainings.started) == 1
    assert start("lottery.rate=2,0.5", "codec=zlib,lzma")[0] == 1
    assert len(trainings.started) == 1


def test_a_training_that_fails_is_tried_once_for_all_of_its_codecs(start, trainings):
    trainings.instead = [DataError("no data")]
    status, table = start("codec=zlib,lzma,raw")
    assert status == 1
    assert set(table.reason) == {"no data"}
    assert len(trainings.started) == 1


def test_a_wrong_value_is_named_before_anything_runs_and_mixed_columns_are_shown(
    start, trainings, capsys
):
    status, table = start("seed=1,x")
    assert status == 1
    assert list(table.status) == ["finished", "failed"]
    out = capsys.readouterr().out
    assert out.index("seed=x: ") < out.index("1 of 1 runs to do")


@pytest.mark.long
def test_a_shuffled_sweep_goes_on(start, trainings):
    trainings.instead = [None, KeyboardInterrupt()]
    assert start("seed=shuffle(3,4,5,6)")[0] == 130
    status, table = start("seed=shuffle(3,4,5,6)")
    assert status == 0
    assert set(table.status) == {"finished"}
    assert len(trainings.started) == 5


def test_several_seeds_are_one_setting(start, trainings, capsys):
    assert make_plan(["seeds=3"], multirun=False).jobs[2].values == {"seed": 2}
    status, table = start("codec=sparse:int8,sparse:int6", "seeds=2")
    assert status == 0
    assert len(table) == 4
    lines = [line for line in capsys.readouterr().out.split("\n") if " finished " in line]
    shown = [line for line in lines if line.lstrip().startswith("sparse:int")]
    assert len(shown) == 2
    assert all("±" in line for line in shown)
    with pytest.raises(ConfigError, match="seeds=no"):
        make_plan(["seeds=no"], multirun=True)


@pytest.mark.slow
def test_a_range_under_python_without_asserts_is_one_line():
    shown = subprocess.run(
        [sys.executable, "-O", "-m", "experiments.sweep", "-m", "seed=range(1,3)"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 2
    assert "leave out -O" in shown.stderr
    assert shown.stderr.strip().count("\n") == 0


def test_an_unforeseen_error_is_noted_with_its_kind(start, trainings):
    trainings.instead = [MemoryError("no room\nat all"), None]
    status, table = start("seed=3,4")
    assert status == 1
    assert row(table, seed=3).reason.startswith("MemoryError: no room at all")
    assert row(table, seed=4).status == "finished"
    status, table = start("seed=3,4")
    assert status == 0
    assert set(table.status) == {"finished"}


def test_an_unknown_codec_fails_by_itself(start, trainings):
    status, table = start("codec=zlib,zlip,lzma")
    assert status == 1
    assert list(table.status) == ["finished", "failed", "finished"]
    assert "zlip" in row(table, codec="zlip").reason
    assert len(trainings.started) == 1  # of both lossless codecs that are right


def test_a_wrong_option_is_named_and_the_others_run(start, trainings):
    status, table = start("partition=iid,dirchlet")
    assert status == 1
    assert "nearest: dirichlet" in row(table, partition="dirchlet").reason
    assert len(trainings.started) == 1


def test_what_one_codec_cannot_do_leaves_the_others_alone(start, trainings):
    trainings.instead = [CodecError("raw cannot do this"), None]
    status, table = start("codec=zlib,raw,lzma")
    assert status == 1
    assert list(table.status) == ["finished", "failed", "finished"]
    assert len(trainings.started) == 3


def test_an_interrupted_sweep_leaves_a_table_and_goes_on(start, trainings):
    trainings.instead = [None, KeyboardInterrupt()]
    status, table = start("seed=3,4,5")
    assert status == 130
    assert list(table.status) == ["finished", "unfinished"]
    trainings.started.clear()
    status, table = start("seed=3,4,5")
    assert status == 0
    assert len(trainings.started) == 2
    assert set(table.status) == {"finished"}


@pytest.mark.slow
def test_an_interrupted_job_resumes_together_with_its_other_codecs(start, real_trainings):
    _, whole = start("codec=zlib,raw,lzma", more=("federation.rounds=2",))
    trainer = Path(row(whole, codec="raw").output_dir)
    expected = {codec: messages(row(whole, codec=codec).output_dir) for codec in ("zlib", "lzma")}
    # As if it had been killed after its last round, before it wrote what it leaves behind.
    (trainer / "summary.json").unlink()
    for codec in ("zlib", "lzma"):
        shutil.rmtree(row(whole, codec=codec).output_dir)
    real_trainings.clear()
    status, table = start("codec=zlib,raw,lzma", more=("federation.rounds=2",))
    assert status == 0
    assert real_trainings == [[f"resume={trainer}"]]
    for codec, frame in expected.items():
        pd.testing.assert_frame_equal(messages(row(table, codec=codec).output_dir), frame)


def test_changed_settings_are_not_taken_for_the_same_run(start, trainings, capsys):
    _, table = start("codec=zlib,sparse:int8")
    path = Path(row(table, codec="zlib").output_dir) / "case.json"
    before = path.read_text()
    path.write_text(before.replace('"latent_dim": 32', '"latent_dim": 8'))
    status, _ = start("codec=zlib,sparse:int8")
    assert status == 2
    assert "gan.latent_dim was 8 and is 32" in capsys.readouterr().err
    path.write_text(before)
    assert start("codec=zlib,sparse:int8")[0] == 0
    assert len(trainings.started) == 2


@pytest.mark.slow
def test_the_folder_holds_the_results_and_nothing_of_hydra(start, tmp_path, monkeypatch):
    elsewhere = tmp_path / "cwd"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    _, table = start("codec=zlib,raw", "samples_per_class=20", more=("evaluation=server",))
    assert Path.cwd() == elsewhere
    assert list(elsewhere.iterdir()) == []
    inside = {path.name for path in (tmp_path / "sweep").iterdir()}
    folders = {Path(path).name for path in table.output_dir}
    written = {"results.csv", "quality_bytes.png", "report.html", "commands.txt", "jobs.txt"}
    assert inside == {*written, *folders}
    assert table.conditional_accuracy.between(0, 1).all()
    assert table.conditional_accuracy.nunique() == 1
    for folder in table.output_dir:
        assert not (Path(folder) / "also").exists()
        assert json.loads((Path(folder) / "summary.json").read_text())["real"]


def test_a_single_job_needs_no_m(tmp_path, trainings, capsys):
    folder = tmp_path / "single"
    assert sweep.main([*SETTINGS.split(), "codec=zlib", f"sweep_dir={folder}"]) == 0
    assert len(pd.read_csv(folder / "results.csv")) == 1
    assert sweep.main([*SETTINGS.split(), "codec=zlib,lzma", f"sweep_dir={folder}"]) == 2
    assert "put -m before it" in capsys.readouterr().err
    assert len(trainings.started) == 1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("lotery.rate=0.1,0.2", "nearest: lottery.rate"),
        ("codec=zlib,'", "cannot read"),
        ("output_dir=here", "set by the sweep"),
        ("sweep_dir=a,b", "sweep_dir="),
        ("seed=3,3", "the same settings"),
    ],
)
def test_a_sweep_that_cannot_start_ends_with_one_line(
    argument, message, tmp_path, trainings, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert sweep.main(["-m", argument]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert trainings.started == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert sweep.main(["-m", "seed=1,2", f"sweep_dir={tmp_path / 'file' / 'sweep'}"]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_the_default_folder_is_found_again_when_values_are_added():
    first = make_plan(["codec=zlib,lzma", "seed=3", "lottery.rate=0.1,0.2"], multirun=True)
    more = make_plan(
        ["lottery.rate=0.1,0.2,0.3", "codec=zlib,sparse:int8", "seed=3"], multirun=True
    )
    other = make_plan(["codec=zlib,lzma", "seed=4", "lottery.rate=0.1,0.2"], multirun=True)
    assert first.folder == more.folder != other.folder
    shared = {job.folder for job in first.jobs} & {job.folder for job in more.jobs}
    assert len(shared) == 2  # zlib at both rates
    assert [job.label for job in first.jobs[:2]] == [
        "codec=zlib lottery.rate=0.1",
        "codec=zlib lottery.rate=0.2",
    ]
    assert all(" " not in str(job.folder) and "=" not in str(job.folder) for job in more.jobs)


def test_ranges_and_globs_are_swept_too():
    plan = make_plan(["seed=range(1,4)", "partition=glob(*)"], multirun=True)
    assert {job.values["seed"] for job in plan.jobs} == {1, 2, 3}
    assert {"iid", "dirichlet"} <= {job.values["partition"] for job in plan.jobs}


@pytest.mark.long
def test_the_commands_of_a_sweep_are_kept_once_each(start, trainings, tmp_path):
    for codecs in ("zlib,lzma", "zlib,bz2", "zlib,lzma"):
        start(f"codec={codecs}", "seed=3")
    lines = (tmp_path / "sweep" / "commands.txt").read_text().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("python -m experiments.sweep -m ") for line in lines)
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert all(html.escape(line, quote=True).replace("&#x27;", "&#39;") in page for line in lines)
