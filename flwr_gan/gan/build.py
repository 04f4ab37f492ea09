"""Config -> networks, for whatever samples look like.

T vectors, C components; an image is T rows of C = T * P numbers, its P colour planes side by side.
"""

from torch import nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan.config import GanConfig
from flwr_gan.gan.dcgan import SIDES, DepthCritic, build_depth_networks
from flwr_gan.gan.networks import Critic, Generator, SampleGenerator
from flwr_gan.gan.sngan import SpectralCritic
from flwr_gan.seeding import derive_seed


def build_networks(
    config: GanConfig, *, num_vectors: int, num_components: int, num_classes: int, seed: int
) -> tuple[SampleGenerator, nn.Module]:
    """Build generator and critic for samples of shape (T, C) in K classes.

    The same seed of the run gives the same initial weights. Raises ConfigError where the samples
    are not what the config's networks make.
    """
    num_classes = num_classes if config.conditional else 1
    if config.network == "images":
        if num_vectors not in SIDES or num_components % num_vectors:
            raise ConfigError(
                f"gan.network=images is not for samples of {num_vectors} x {num_components}: give "
                f"square images with {', '.join(map(str, SIDES))} rows, or gan.network=vectors"
            )
        return build_depth_networks(
            config.depth,
            side=num_vectors,
            planes=num_components // num_vectors,
            num_classes=num_classes,
            latent_dim=config.latent_dim,
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
