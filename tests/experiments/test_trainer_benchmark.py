"""The benchmark of the trainer measures every path."""

import pandas as pd
import pytest

from experiments.benchmarks import trainer
from flwr_gan.gan import GanConfig

SETTINGS = ("gan=small", "gan.batch_size=4", "gan.critic_iterations=1", "gan.channels=[4,4]")
TINY = GanConfig(latent_dim=4, channels=(4, 4), critic_hidden=(8, 8), batch_size=4)


@pytest.mark.parametrize("short", [True, False])
def test_the_table_has_a_row_for_each_setting_and_path(short, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trainer, "SETTINGS", dict.fromkeys(trainer.SETTINGS, SETTINGS))
    monkeypatch.setattr(trainer, "CLIENTS", (2,))

    def once(measure):
        return lambda config, **settings: measure(config, **settings | {"least_s": 0, "repeats": 1})

    for name in ("measure_paths", "measure_clients"):
        monkeypatch.setattr(trainer, name, once(getattr(trainer, name)))
    file = tmp_path / "trainer.csv"
    assert trainer.main(["--output", str(file), *(["--short"] if short else [])]) == 0
    table = pd.read_csv(file)
    found = list(zip(table["gan"], table["clients"], table["path"], strict=True))
    settings = trainer.SHORT if short else trainer.SETTINGS
    paths = ("plain", "closed_form", "autograd")
    assert found == [
        *((name, 1, path) for name in settings for path in paths),
        ("small", 2, "one_after_another"),
        ("small", 2, "together"),
    ]
    assert (table["steps_per_s"] > 0).all()
    assert "closed_form" in capsys.readouterr().out


def test_ratios_are_those_of_the_times_taken_in_turn():
    class Fixed:
        def __init__(self, *seconds):
            self.left = list(seconds)

        def seconds(self, iterations):
            assert iterations == 1
            return self.left.pop(0)

    paths = {"plain": Fixed(9, 2, 8, 6), "fast": Fixed(9, 1, 2, 2)}  # the first call warms up
    plain, fast = trainer._rows(paths, TINY, clients=3, repeats=3, least_s=9)
    assert plain["ratio"] == plain["ratio_highest"] == 1
    assert (fast["ratio_lowest"], fast["ratio"], fast["ratio_highest"]) == (2, 3, 4)
    assert fast["steps_per_s"] == 3 * TINY.critic_iterations / 2
