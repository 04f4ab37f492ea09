"""Table, figure and page are made from result files alone, or not at all."""

import json
import shlex

import pandas as pd
import pytest

from experiments.report import __main__ as report
from experiments.report import repeat
from experiments.report.folders import add_command
from experiments.results_table import varying_columns
from flwr_gan.app.config import load_config
from flwr_gan.app.overrides import split_overrides

pytestmark = pytest.mark.usefixtures("quick_judge")


@pytest.mark.slow
def test_a_single_run_with_its_other_codecs_makes_a_table(simulate, capsys):
    folder = simulate("evaluation=server also_codecs=[zlib,lzma]")
    assert report.main([str(folder)]) == 0
    table = pd.read_csv(folder / "results.csv")
    assert set(table.codec) == {"sparse", "zlib", "lzma"}
    assert set(table.trained_by) == {str(folder)}
    assert (folder / "quality_bytes.png").stat().st_size > 10_000
    assert "sparse" in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == 6  # four plots; samples and breakdown once for all codecs
    for text in (
        "Bytes a round",
        "Sparsity of each layer",
        "recognised of worst class",
        "nearer to training than to test",
        "conv1.weight",
        "--run-config",
        "torch",
    ):
        assert (text in page) == (text != "conv1.weight"), text  # layers are in the picture


@pytest.mark.slow
def test_a_folder_of_runs_is_reported_and_an_unfinished_one_is_told_apart(simulate, tmp_path):
    for seed in (1, 2):
        simulate(f"seed={seed} evaluation=none", folder=f"runs/{seed}")
    (tmp_path / "runs" / "2" / "summary.json").unlink()
    table = report.report(tmp_path / "runs")
    assert list(table.status) == ["finished", "unfinished"]
    assert not (tmp_path / "runs" / "quality_bytes.png").exists()
    again = pd.read_csv(tmp_path / "runs" / "results.csv")
    summary = json.loads((tmp_path / "runs" / "1" / "summary.json").read_text())
    assert again.up_bytes.iloc[0] == summary["totals"]["up_bytes"]
    assert again.wall_s.iloc[0] == summary["wall_s"]


def test_a_folder_without_runs_ends_with_one_line(tmp_path, capsys):
    assert report.main([str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err
    assert report.main([str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.long
def test_a_damaged_file_is_named_and_nothing_is_written(simulate, capsys):
    folder = simulate("evaluation=none")
    for name, text in (
        ("summary.json", "{"),
        ("summary.json", "[]"),
        ("summary.json", '{"final": {}}'),
        ("summary.json", '{"final": {}, "totals": 3, "wall_s": 1}'),
        ("rounds.csv", ""),
        ("rounds.csv", "round,up_bytes\n1,2\n"),
        ("rounds.csv", "round,up_bytes,down_bytes,sparsity,wall_s\n1,<b>,3,4,5\n"),
        ("messages.csv", 'codec,encode_s,decode_s\n"x'),
        ("config.yaml", "a: [\n"),
        ("config.yaml", "- 1\n"),
        ("samples.png", "no picture"),
        ("generators/global.fgan", "no payload"),
        ("case.json", "{"),
        ("result.json", "{"),
        ("commands.txt", b"\xff"),
    ):
        path = folder / name
        whole = path.read_bytes() if path.exists() else None
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        assert report.main([str(folder)]) == 1, (name, text)
        error = capsys.readouterr().err
        assert error.startswith("experiments.report: ")
        assert error.count("\n") == 1, error
        assert path.name in error, (name, text)
        assert not [one for one in ("results.csv", "report.html") if (folder / one).exists()]
        path.unlink() if whole is None else path.write_bytes(whole)
    assert report.main([str(folder)]) == 0


@pytest.mark.slow
def test_several_folders_make_one_page(simulate, tmp_path, capsys):
    folders = [simulate(f"seed={seed} evaluation=none", folder=f"r/{seed}") for seed in (1, 2)]
    assert report.main([*map(str, folders), str(folders[0])]) == 0
    assert "seed=2" in (tmp_path / "r" / "report.html").read_text()
    assert all(len(pd.read_csv(folder / "results.csv")) == 1 for folder in folders)
    page = tmp_path / "elsewhere" / "page.html"
    assert report.main([*map(str, folders), "--output", str(page), "--grids", "1"]) == 0
    assert "1 of 2 trainings" in page.read_text()
    assert report.main([str(folders[0]), "--output", str(tmp_path)]) == 1
    assert "it is a folder" in capsys.readouterr().err


@pytest.mark.long
def test_what_stands_in_files_is_text_and_never_html(simulate, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    folder = simulate("evaluation=none", folder="sweep/one")
    summary = json.loads((folder / "summary.json").read_text())
    summary |= {"data": evil, "versions": {evil: evil}}
    (folder / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "sweep" / "two").mkdir()
    (tmp_path / "sweep" / "two" / "case.json").write_text(json.dumps({"values": {evil: evil}}))
    (tmp_path / "sweep" / "two" / "result.json").write_text(json.dumps({"reason": evil}))
    add_command(tmp_path / "sweep", evil)
    report.report(tmp_path / "sweep")
    page = (tmp_path / "sweep" / "report.html").read_text()
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") >= 6
    assert "1 of 2 runs failed" in page


@pytest.mark.long
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        [
            "codec=sparse:int8",
            "seed=3",
            "gan.channels=[8,8]",
            "also_codecs=[]",
            "name=some-thing.1",
        ],
        ["data=pendigits", "partition=writer", "lottery.rate=0.2", "federation.num_clients=10"],
        ["experiment=one_shot", "gan=paper", "data=strokes", "data.num_writers=7"],
        ["experiment=paper", "also_codecs=[zlib:9,lzma]", "codec=sparse"],
        ["strategy=fedprox", "federation.rounds=2", "+strategy.fraction_fit=0.5"],
        ["data=mnist", "data.folder='a b'", "partition=pathological"],
        ["strategy.rate=0.3", "strategy.rewind=early", "federation.rounds=null"],
    ],
)
def test_the_command_to_repeat_a_run_gives_its_settings(overrides):
    asked = load_config(overrides, default_output="somewhere").to_yaml()
    command = repeat.repeat_command(asked)
    assert command is not None
    start, *more = shlex.split(command.replace("flower-simulation --app flwr_gan", "run"))
    assert start == "run"
    found = load_config(repeat_arguments(more), default_output="somewhere").to_yaml()
    assert found == asked


def repeat_arguments(more: list[str]) -> list[str]:
    if not more:
        return []
    option, text = more
    assert option == "--run-config"
    return split_overrides(text)


def test_settings_that_conf_cannot_give_have_no_command():
    asked = load_config([], default_output="x").to_yaml()
    assert repeat.repeat_command(asked) is not None
    assert repeat.repeat_command(f"{asked}gone: 1\n") is None
    assert repeat.repeat_command("seed: 3\n") is None


@pytest.mark.parametrize("failed", [False, True])
def test_columns_that_another_one_implies_are_left_out(failed):
    table = pd.DataFrame(
        {
            "federation.num_clients": [5, 5, 20, 20],
            "codec": ["zlib", "lzma", "zlib", "lzma"],
            "seed": [0, 0, 0, 0],
            "clients": [5, 5, 20, None if failed else 20],
            "status": ["finished"] * 4,
        }
    )
    assert varying_columns(table) == ["federation.num_clients", "codec"]
