"""Settings and schedule of pruning."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from flwr_gan.errors import ConfigError
from flwr_gan.prune import LotteryConfig, pruned_count, pruned_fraction

CONF = Path(__file__).parents[2] / "conf" / "lottery"


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_names_every_setting_and_is_valid(path):
    node = OmegaConf.load(path)
    LotteryConfig(**OmegaConf.to_container(node))
    assert set(node) == set(LotteryConfig.__dataclass_fields__)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rate", 0.0),
        ("rate", 1.0),
        ("rate", float("nan")),
        ("rate", "much"),
        ("iterations", -1),
        ("iterations", True),
        ("scope", "layer"),
        ("train_final", 1),
        ("min_kept_per_layer", -1),
    ],
)
def test_bad_values_are_named(key, value):
    with pytest.raises(ConfigError, match=rf"^lottery\.{key}=.* is not allowed: give .*"):
        LotteryConfig(**{key: value})


def test_without_any_training_there_is_no_ticket():
    with pytest.raises(ConfigError, match=r"lottery\.train_final=False"):
        LotteryConfig(iterations=0, train_final=False)


@pytest.mark.parametrize(
    ("level", "percent"),
    [(0, 0.0), (1, 20.0), (2, 36.0), (5, 67.23), (10, 89.26), (15, 96.48), (17, 97.75)],
)
def test_the_schedule_gives_the_shares_of_table_2(level, percent):
    assert round(100 * pruned_fraction(0.2, level), 2) == percent


def test_the_count_is_rounded_once_and_never_falls():
    counts = [pruned_count(363_136, 0.2, level) for level in range(60)]
    assert counts[0] == 0
    assert counts[1] == round(363_136 * 0.2)
    assert counts == sorted(counts)
    assert pruned_count(5, 0.5, 1) == 2  # 2.5: a half goes to the even number
    assert pruned_count(7, 0.5, 1) == 4
