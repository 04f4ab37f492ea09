"""The spine of studies: folders are claimed, finished cases kept, failures recorded and retried."""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from experiments.study import app_runs
from experiments.study.app_runs import finish_run
from experiments.study.cases import RESULT, StudyCase, read_record, run_cases
from experiments.study.command import Study
from experiments.study.markdown import page_table
from experiments.study.results import description, rounded, write_table
from experiments.study.statistics import average, differences
from flwr_gan.errors import ConfigError, TrainingError
from tests.deployment.watched import until

MEASURED: list[str] = []


@dataclass(frozen=True)
class Double(StudyCase):
    """Doubles a number; -1 cannot be doubled, -2 breaks."""

    number: int
    seed: int = 0
    columns = ("number", "seed")

    @property
    def name(self):
        return f"double_{self.number}_{self.seed}"

    @property
    def settings(self):
        return {"number": self.number, "how": {"factor": 2}}

    def measure(self, folder):
        MEASURED.append(self.name)
        if self.number == -1:
            raise TrainingError("-1 cannot be doubled")
        if self.number == -2:
            raise ZeroDivisionError("oh")
        return {"twice": 2.0 * self.number + self.seed, "rows": [{"half": self.number / 2}]}


@dataclass(frozen=True)
class Late(Double):
    """Doubles a number, after a while."""

    def measure(self, folder):
        time.sleep(1)
        return super().measure(folder)


@dataclass(frozen=True)
class Reader(Double):
    """Reads the result of ``Late(3)``."""

    @property
    def needs(self):
        return Late(3).name

    def measure(self, folder):
        return {"read": json.loads((folder.parent / self.needs / RESULT).read_text())["result"]}


@pytest.fixture(autouse=True)
def _nothing_measured():
    MEASURED.clear()


def study(home: Path) -> Study:
    return Study(
        module="experiments.doubles",
        about="Doubles.",
        home=home,
        cases=lambda options: [
            Double(int(word), seed) for seed in options.seeds for word in options.numbers
        ],
        tables=lambda records: {
            "summary.csv": average(
                pd.DataFrame([record.row for record in records]), ["number"], ["twice"]
            )
        },
        page=lambda tables, run: {
            "doubles": page_table(
                tables["summary.csv"], [("n", "number"), ("twice", ("twice", 1))]
            ),
            "run": description(run),
        },
        choices={"numbers": ("1", "2", "-2")},
        seeds=(0, 1),
        shown=("twice",),
    )


def test_finished_cases_are_kept_and_failed_ones_tried_again(tmp_path, capsys):
    cases = [Double(1), Double(-1), Double(-2)]
    assert run_cases(cases, tmp_path) == 2
    out = capsys.readouterr().out
    assert "2/3 double_-1_0: failed: -1 cannot be doubled; " in out
    assert "ZeroDivisionError: oh (test_study.py, line " in out
    assert "ZeroDivisionError" in (tmp_path / "double_-2_0" / "error.txt").read_text()
    record = read_record(cases[0], tmp_path)
    assert record.row | {"cpu_s": 0} == {"number": 1, "seed": 0, "twice": 2.0, "cpu_s": 0}
    assert list(record.rows("rows")) == [{"number": 1, "seed": 0, "half": 0.5}]
    MEASURED.clear()
    assert run_cases(cases, tmp_path) == 2
    assert MEASURED == ["double_-1_0", "double_-2_0"]


def test_a_folder_of_other_settings_is_named_with_what_differs(tmp_path):
    run_cases([Double(1)], tmp_path)
    path = tmp_path / "double_1_0" / "case.json"
    path.write_text(path.read_text().replace('"factor": 2', '"factor": 3'))
    with pytest.raises(ConfigError, match=r"how\.factor was 3 and is 2"):
        run_cases([Double(1)], tmp_path)


def test_the_command_writes_the_page_only_of_what_is_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    empty = "<!-- doubles -->\n<!-- end -->\n<!-- run -->\n<!-- end -->\n"
    (home / "README.md").write_text(empty)
    part = study(home).main(["--numbers", "1", "2"])
    assert part == 0
    assert (home / "README.md").read_text() == empty
    assert "| 2 | 4.5 ± 6.4 |" in (tmp_path / "runs/doubles/results/tables.md").read_text()
    assert study(home).main(["--seeds", "0,1", "--numbers", "3"]) == 2
    assert "--numbers 3: allowed are 1, 2, -2" in capsys.readouterr().err
    assert study(home).main([]) == 1  # -2 fails, the rest is written
    page = (home / "README.md").read_text()
    assert "| 1 | 2.5 ± 6.4 |" in page
    assert "Not run: 2 runs" in page
    assert (home / "results" / "summary.csv").exists()
    assert "doubles" in (tmp_path / "runs" / "doubles" / "report.html").read_text()
    assert MEASURED.count("double_1_0") == 1
    assert study(home).main(["--report", "--workers", "2"]) == 0
    assert "`python -m experiments.doubles`, 2" in (home / "README.md").read_text()


def test_a_page_is_made_of_the_digits_that_its_table_keeps(tmp_path):
    table = pd.DataFrame({"way": ["a", "b"], "n": [1, 123456], "x": [1.23349, float("nan")]})
    kept = rounded(table, 4)
    pd.testing.assert_frame_equal(
        kept, pd.read_csv(write_table(table, tmp_path / "t.csv", digits=4))
    )
    assert kept["x"][0] == 1.233


def test_differences_are_to_the_baseline_of_the_same_pair():
    table = pd.DataFrame(
        {"way": ["a", "a", "b", "b"], "seed": [0, 1, 0, 2], "x": [1.0, 2.0, 4.0, 9.0]}
    )
    (row,) = differences(
        table, table["way"] == "a", groups=["way"], pair=["seed"], measures=["x"]
    ).to_dict("records")
    assert (row["way"], row["seeds"], row["x"]) == ("b", 1, 3.0)


def test_an_interrupted_run_is_resumed(tmp_path, monkeypatch):
    started = []

    def train(overrides):
        started.append(overrides)
        tmp_path.joinpath("config.yaml").write_text("")
        if len(started) == 1:
            raise KeyboardInterrupt
        tmp_path.joinpath("summary.json").write_text("{}")

    monkeypatch.setattr(app_runs, "train", train)
    with pytest.raises(KeyboardInterrupt):
        finish_run(["seed=1"], tmp_path)
    for _ in range(2):
        assert finish_run(["seed=1"], tmp_path) == tmp_path
    assert started == [["seed=1", f"output_dir={tmp_path}"], [f"resume={tmp_path}"]]


def test_seeds_are_whole_numbers_named_once(tmp_path, capsys):
    for seeds in ("x", "1,1"):
        assert study(tmp_path).main(["--seeds", seeds, "--folder", str(tmp_path)]) == 2
        assert f"--seeds {seeds}" in capsys.readouterr().err
    assert isinstance(study(tmp_path).parser(), argparse.ArgumentParser)


@pytest.mark.slow
def test_a_case_waits_for_the_one_that_it_needs(tmp_path, capsys):
    cases = [Late(3), Reader(5), Double(7)]
    assert run_cases(cases, tmp_path, workers=2) == 0
    ended = [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert len(ended) == 3
    assert ended.index("double_3_0:") < ended.index("double_5_0:")
    assert read_record(cases[1], tmp_path).result["read"]["twice"] == 6
    assert run_cases([Reader(9)], tmp_path, workers=2) == 0  # what it needs is there


SLEEPERS = """
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from experiments.study.cases import StudyCase, run_cases


@dataclass(frozen=True)
class Sleeper(StudyCase):
    seed: int
    title = "sleeper{seed}"
    work_s = 1.0
    settings = {}

    def measure(self, folder):
        (folder / "pid").write_text(str(os.getpid()))
        time.sleep(100)


if __name__ == "__main__":
    run_cases([Sleeper(0), Sleeper(1)], Path(sys.argv[1]), workers=2)
"""


@pytest.mark.slow
def test_workers_end_when_the_study_is_killed(tmp_path):
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    study = subprocess.Popen(
        [sys.executable, str(tmp_path / "sleepers.py"), str(tmp_path / "runs")],
        env=os.environ | {"PYTHONPATH": paths},
    )
    files = [tmp_path / "runs" / f"sleeper{seed}" / "pid" for seed in (0, 1)]

    until(
        lambda: all(file.exists() and file.read_text() for file in files),
        what="two cases under way", timeout_s=60,
    )  # fmt: skip
    study.kill()
    study.wait()
    pids = [int(file.read_text()) for file in files]
    until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids),
        what="the end of both workers", timeout_s=60,
    )  # fmt: skip
