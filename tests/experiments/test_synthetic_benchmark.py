"""The worth of generated samples: a row for each number of real ones, and a picture."""

import pandas as pd
import pytest

from experiments.benchmarks import synthetic


@pytest.mark.slow
def test_a_run_gives_a_table_and_a_picture(simulate, tmp_path, capsys):
    folder = simulate("evaluation=none")
    target = tmp_path / "table.csv"
    assert synthetic.main([str(folder), "--short", "--output", str(target)]) == 0
    table = pd.read_csv(target)
    assert list(zip(table.real, table.generated, strict=True)) == [
        (0, 1000), (20, 0), (20, 1000), (100, 0), (100, 1000)
    ]  # fmt: skip
    assert (table.seeds == synthetic.SHORT_SEEDS).all()
    accuracy = table.set_index(["real", "generated"]).accuracy
    assert accuracy[100, 0] > accuracy[20, 0] > accuracy[0, 1000]  # the generator is untrained
    assert target.with_suffix(".png").stat().st_size > 10_000
    assert "accuracy" in capsys.readouterr().out


def test_a_folder_without_a_run_is_one_line(tmp_path, capsys):
    assert synthetic.main([str(tmp_path), "--short"]) != 0
    assert capsys.readouterr().err.count("\n") == 1
