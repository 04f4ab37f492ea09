"""Settings of the GAN: the yaml files and the checks."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from flwr_gan.app.config import load_config
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig

CONF = Path(__file__).parents[2] / "conf" / "gan"


def composed(name):
    """Return the settings of a preset, those of the base included."""
    return OmegaConf.to_container(load_config([f"gan={name}"]).resolved.gan)


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_yaml_names_every_setting_and_is_valid(path):
    node = composed(path.stem)
    config = GanConfig(**node)
    assert set(node) == set(GanConfig.__dataclass_fields__)
    assert isinstance(config.channels, tuple)


def test_the_base_holds_the_defaults():
    assert GanConfig(**composed("base")) == GanConfig()


def test_paper_yaml_holds_table_1():
    config = GanConfig(**composed("paper"))
    assert (config.iterations, config.batch_size, config.critic_iterations) == (150_000, 256, 256)
    assert (config.generator_lr, config.critic_lr, config.penalty) == (1e-4, 1e-4, 10)
    assert not config.fresh_batch


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("latent_dim", 0),
        ("channels", [64]),
        ("channels", [64, 0]),
        ("kernel_size", 2),
        ("critic_hidden", [64, "64"]),
        ("iterations", 0),
        ("batch_size", 1.5),
        ("critic_iterations", True),
        ("fresh_batch", "yes"),
        ("generator_lr", 0.0),
        ("generator_lr", float("nan")),
        ("critic_lr", 2.0),
        ("betas", [0.5, 1.0]),
        ("betas", ["a", 0.9]),
        ("penalty", -1.0),
        ("penalty", float("inf")),
    ],
)
def test_bad_values_are_named(key, value):
    with pytest.raises(ConfigError, match=rf"^gan\.{key}=.* is not allowed: give .*") as caught:
        GanConfig(**{key: value})
    assert "\n" not in str(caught.value)
