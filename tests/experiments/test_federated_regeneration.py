"""The comparison of tickets: equal bytes, equal compute, resumed where it stopped."""

import pandas as pd
import pytest

from experiments.federated_regeneration.__main__ import main
from flwr_gan.gan import WganGpTrainer

SETTINGS = (
    "partition=iid federation.num_clients=2 gan.iterations=16 gan.local_iterations=8 "
    "gan.channels=[16,8] gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 "
    "lottery.iterations=1 lottery.min_kept_per_layer=8 samples_per_class=5 "
    "regeneration.strength=0.05 regeneration.pace=1"
)


@pytest.fixture
def updates(monkeypatch):
    """Return the updates of all trainings, in their order."""
    found = []
    train = WganGpTrainer.train

    def count(self, *arguments, **options):
        given = options.get("iterations")
        found.append(given or self.config.iterations)
        return train(self, *arguments, **options)

    monkeypatch.setattr(WganGpTrainer, "train", count)
    return found


@pytest.mark.slow
def test_all_ways_have_the_same_updates_and_nearly_the_same_bytes(tmp_path, updates, capsys):
    given = ["--seeds", "0", "--regenerations", "rg", "--folder", str(tmp_path)]
    assert main([*given, *SETTINGS.split()]) == 0
    assert sum(updates) == 3 * 2 * (2 * 16)  # three ways, two clients, a level and the final one
    table = pd.read_csv(tmp_path / "results" / "runs.csv").set_index("way")
    ours = table.loc["regeneration"]
    assert ours["sparsity"] > 0.02
    for way in ("gradual", "iterative"):
        theirs = table.loc[way]
        assert theirs["sparsity"] == pytest.approx(ours["sparsity"], abs=0.002)
        assert theirs["payload_up_bytes"] == pytest.approx(ours["payload_up_bytes"], rel=0.1)
    assert table["frechet_distance"].notna().all()
    updates.clear()
    assert main([*given, *SETTINGS.split()]) == 0
    assert not updates  # nothing is trained again
    assert "+" in (tmp_path / "results" / "tables.md").read_text()
    assert main([*given, *SETTINGS.replace("=16 ", "=17 ").split()]) == 2
    assert "other settings" in capsys.readouterr().err


def test_seeds_are_numbers(capsys, tmp_path):
    assert main(["--seeds", "a", "--folder", str(tmp_path), "--report"]) != 0
    assert "--seeds a" in capsys.readouterr().err
