"""Build networks from a config, for samples of any form.

T vectors or rows, C components or columns.
"""

from torch import nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.dcgan import SIDES, DepthCritic, build_depth_networks
from flwr_gan.gan.networks import Critic, Generator, SampleGenerator
from flwr_gan.gan.sngan import SpectralCritic
from flwr_gan.seeding import derive_seed


def check_form(
    config: GanConfig, *, num_vectors: int, num_components: int, num_channels: int = 1
) -> None:
    """Raise ConfigError if the config's networks do not make samples of this form."""
    form = f"{num_vectors} x {num_components}" + f" x {num_channels}" * (num_channels > 1)
    if config.network == "images":
        if num_vectors != num_components or num_vectors not in SIDES:
            raise ConfigError(
                f"gan.network=images is not for samples of {form}: give square images with "
                f"{', '.join(map(str, SIDES))} rows, or gan=small"
            )
    elif num_channels > 1:
        raise ConfigError(
            f"gan.network=vectors is not for images in colour, and samples are {form}: give "
            "gan=wdcgan, sngan or dcgan, or data.channels=1 where the data set has that setting"
        )


def build_networks(
    config: GanConfig,
    *,
    num_vectors: int,
    num_components: int,
    num_channels: int = 1,
    num_classes: int,
    seed: int,
) -> tuple[SampleGenerator, nn.Module]:
    """Build generator and critic for samples of shape (T, C) or (T, C, channels) in K classes.

    The same seed of the run gives the same initial weights. Raises ConfigError if the config's
    networks do not make samples of this form.
    """
    check_form(
        config,
        num_vectors=num_vectors,
        num_components=num_components,
        num_channels=num_channels,
    )
    num_classes = num_classes if config.conditional else 1
    if config.network == "images":
        return build_depth_networks(
            config.depth,
            side=num_vectors,
            num_channels=num_channels,
            num_classes=num_classes,
            latent_dim=config.latent_dim,
            norm=config.norm == "instance",
            seed=seed,
            critic=SpectralCritic if config.critic == "spectral" else DepthCritic,
        )
    generator = Generator(
        num_vectors,
        num_components,
        num_classes,
        latent_dim=config.latent_dim,
        channels=config.channels,
        kernel_size=config.kernel_size,
        seed=derive_seed(seed, "generator"),
    )
    critic = Critic(
        num_vectors,
        num_components,
        num_classes,
        hidden=config.critic_hidden,
        seed=derive_seed(seed, "critic"),
    )
    return generator, critic
