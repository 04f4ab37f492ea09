"""Private runs: what is written, how epsilon composes, what a resumed run knows."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from flwr_gan.app.run import Run
from flwr_gan.cli import main
from flwr_gan.privacy import Release, epsilon_of

PRIVATE = "privacy=dp_critic gan.batch_size=64 gan.critic_iterations=2 evaluation=none"


def spent(folder):
    return pd.read_csv(folder / "privacy.csv")


def by_hand(row, steps):
    critic = Release(row.noise_multiplier, row.sample_rate, steps)
    return epsilon_of([Release(row.label_noise, 1.0, 1), critic], row.delta)


@pytest.mark.long
def test_a_row_a_client_and_round_with_epsilon_over_rounds_and_levels(simulate):
    folder = simulate(f"{PRIVATE} gan.local_iterations=3 also_codecs=[zlib]")
    table = spent(folder)
    assert list(zip(table["round"], table.client, strict=True)) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    # round 2 is the next pruning level: critic and optimisers are new, the account is not
    for row in table.itertuples():
        assert row.steps == row.round * 3 * 2
        assert row.epsilon == pytest.approx(by_hand(row, row.steps), rel=1e-9)
    assert (table[table["round"] == 2].epsilon.to_numpy()
            > table[table["round"] == 1].epsilon.to_numpy()).all()  # fmt: skip
    for place in (folder, folder / "also" / "zlib"):
        summary = json.loads((place / "summary.json").read_text())
        assert summary["privacy"] == {"epsilon": table.epsilon.max(), "delta": 1e-4}
        pd.testing.assert_frame_equal(spent(place), table)


@pytest.mark.long
def test_all_trainings_of_a_ticket_are_paid_for_and_counts_are_noisy(simulate):
    folder = simulate(f"{PRIVATE} strategy=generator_pool gan.iterations=3 privacy.label_noise=9")
    for row in spent(folder).itertuples():
        assert row.steps == 2 * 3 * 2  # levels 0 and 1, three iterations of two steps
        assert row.epsilon == pytest.approx(by_hand(row, row.steps), rel=1e-9)


@pytest.mark.long
def test_a_target_is_kept_and_used(simulate):
    folder = simulate(
        f"{PRIVATE} privacy.noise_multiplier=null privacy.target_epsilon=6 gan.local_iterations=3"
    )
    last = spent(folder)[lambda table: table["round"] == 2]
    assert (last.epsilon <= 6).all()
    assert (last.epsilon > 5.9).all()


def test_without_privacy_nothing_is_reported(simulate):
    folder = simulate()
    assert not (folder / "privacy.csv").exists()
    assert "privacy" not in json.loads((folder / "summary.json").read_text())


@pytest.mark.long
def test_epsilon_survives_a_resume(simulate, tmp_path, monkeypatch):
    """Stopped after its first round, a run goes on with what that has cost."""
    settings = f"{PRIVATE} gan.local_iterations=3"
    whole = simulate(settings, folder="whole")
    take_down = Run.on_round

    def stop(self, *arguments):
        finish = take_down(self, *arguments)

        def finish_and_stop():
            finish()
            raise OSError("the power is gone")

        return finish_and_stop

    with monkeypatch.context() as patch:
        patch.setattr(Run, "on_round", stop)
        with pytest.raises(Exception, match="the power is gone"):
            simulate(settings, folder="stopped")
    stopped = tmp_path / "stopped"
    assert not (stopped / "summary.json").exists()
    assert list(spent(stopped)["round"]) == [1, 1]
    assert main(["--app", "flwr_gan", "--run-config", f"resume={stopped}"]) == 0
    pd.testing.assert_frame_equal(spent(stopped), spent(whole))


@pytest.mark.long
def test_a_secret_run_differs_each_time_and_cannot_be_resumed(simulate):
    runs = [simulate(f"{PRIVATE} privacy.secret=true", folder=name) for name in ("a", "b")]
    weights = [(f / "generators" / "global.fgan").read_bytes() for f in runs]
    assert weights[0] != weights[1]
    assert np.allclose(spent(runs[0]).epsilon, spent(runs[1]).epsilon)
    shutil.copytree(runs[0], runs[0].with_name("c"))
    status = main(["--app", "flwr_gan", "--run-config", f"resume={runs[0].with_name('c')}"])
    assert status == 2
