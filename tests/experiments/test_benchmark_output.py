"""What the commands of benchmarks have in common."""

import pytest

from experiments.benchmarks.output import run_benchmark


def test_a_folder_is_refused_before_anything_is_measured(tmp_path, capsys):
    def measure(options):
        pytest.fail("it was measured")

    arguments = ["--output", str(tmp_path)]
    assert run_benchmark("start", "About.", measure, arguments, short="less") == 1
    said = capsys.readouterr().err
    assert f"--output {tmp_path} is a folder: give a file, as {tmp_path}/start.csv" in said
    assert not list(tmp_path.iterdir())
