"""Time to a quality over a link: what is measured, what is computed."""

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import end_to_end

FAST = (
    "partition=iid federation.num_clients=2 gan.local_iterations=1 gan.channels=[8,8] "
    "gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 lottery.min_kept_per_layer=8"
)


@pytest.fixture
def run(tmp_path):
    """Return the folder of a run that is good enough after its second round."""
    pd.DataFrame(
        {"round": [1, 2, 3], "synthetic_accuracy": [0.5, 0.91, 0.8], "wall_s": [1.0, 2.0, 4.0]}
    ).to_csv(tmp_path / "rounds.csv")
    pd.DataFrame({"round": [0, 1, 2, 2, 3], "message_bytes": [1, 10, 100, 1000, 10000]}).to_csv(
        tmp_path / "messages.csv"
    )
    return tmp_path


def test_rounds_after_the_first_good_one_do_not_count(run):
    assert end_to_end.until(0.9, run) == {"rounds": 2, "message_bytes": 1111, "compute_s": 3.0}


def test_a_quality_that_is_never_reached_has_no_figures(run):
    assert np.isnan(list(end_to_end.until(0.95, run).values())).all()


def test_transfer_is_bits_over_rate_and_ratios_are_to_raw():
    runs = pd.DataFrame(
        {
            "codec": ["raw", "raw", "sparse", "sparse"],
            "seed": [0, 1, 0, 1],
            "rounds": [2, 4, 2, np.nan],
            "message_bytes": [1_000_000, 3_000_000, 250_000, np.nan],
            "compute_s": [4.0, 4.0, 4.0, np.nan],
        }
    )
    table = end_to_end.over_links(runs, target=0.9).set_index(["codec", "link_mbit_s"])
    raw, sparse = table.loc[("raw", 1)], table.loc[("sparse", 1)]
    assert raw.transfer_s_computed == pytest.approx(16)
    assert sparse.transfer_s_computed == pytest.approx(2)
    assert sparse.ratio == pytest.approx(20 / 6)
    assert sparse.bytes_ratio == pytest.approx(8)
    assert (raw.reached, sparse.reached, sparse.seeds) == (2, 1, 2)
    assert table.loc[("raw", 100)].transfer_s_computed == pytest.approx(0.16)


def test_a_target_out_of_range_is_named(capsys, tmp_path):
    assert end_to_end.main(["--target", "2", "--output", str(tmp_path / "x.csv")]) == 2
    assert "--target 2.0" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_writes_a_row_a_codec_and_link(tmp_path):
    path = tmp_path / "table.csv"
    arguments = ["--short", "--target", "0.01", "--settings", FAST, "--output", str(path)]
    assert end_to_end.main(arguments) == 0
    table = pd.read_csv(path)
    assert len(table) == 12
    assert set(table.codec) == set(end_to_end.CODECS)
    assert (table.reached == 1).all()
    assert (table[table.codec == "sparse:int8"].bytes_ratio > 1).all()
