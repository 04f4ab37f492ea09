"""Settings of the networks and of their training (paper 000, Alg. 1 and Table 1)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flwr_gan.core.settings import Amount, Count, Positive, Rate, Settings, Within

Policy = Literal["brightness", "saturation", "contrast", "translation", "cutout"]
Decay = Annotated[float, Within(at_least=0, below=1)]


@dataclass(frozen=True, kw_only=True)
class GanConfig(Settings):
    """Sizes of generator and critic and the hyperparameters of Alg. 1.

    Lists are accepted for tuples and converted, so a config from yaml can be passed directly.
    """

    group = "gan"

    # 1-D convolutions along T vectors, or 2-D ones that double the side of a square image
    network: Literal["vectors", "images"] = "vectors"
    conditional: bool = True  # False: the generator has no classes
    latent_dim: Count = 64  # L, length of the latent vector z, drawn from N(0, I)
    channels: tuple[Count, Count] = (256, 128)  # of the two hidden layers, for vectors
    kernel_size: Count = 3  # of both convolutions along the T vectors; odd, so that T is kept
    critic_hidden: tuple[Count, Count] = (256, 256)  # widths of its two hidden layers, for vectors
    depth: Count = 8  # d of the image networks: up to 8d, 4d, 2d, d channels
    norm: Literal["none", "instance"] = "none"  # after the hidden layers of an image generator
    critic: Literal["plain", "spectral"] = "plain"  # spectral: its layers have a spectral norm of 1
    loss: Literal["wasserstein", "hinge", "original"] = "wasserstein"  # original: the first GAN's
    iterations: Count = 1000  # N, generator iterations of one training
    local_iterations: Count = 40  # of a client per round, if training is spread over rounds
    batch_size: Count = 64  # B
    critic_iterations: Count = 5  # R, per generator iteration
    # False: all R iterations use one batch, as in Alg. 1. True: each loads its own
    fresh_batch: bool = True
    generator_lr: Rate = 1e-3  # of Adam, as the next two
    critic_lr: Rate = 1e-3
    betas: tuple[Decay, Decay] = (0.0, 0.9)  # for both networks
    penalty: Amount = 10.0  # lambda, of the gradient penalty; only of the Wasserstein loss
    # differentiable augmentation of images (augment.py): names of its POLICIES
    augment: tuple[Policy, ...] = ()
    weight_clipping: Positive | None = None  # largest magnitude of the critic's weights (WGAN)
    # closed form, the fast path, or double backpropagation: equal up to rounding
    critic_gradients: Literal["closed_form", "autograd"] = "closed_form"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("kernel_size", self.kernel_size % 2 == 1, "an odd whole number")
        images = self.network == "images"
        self.require("critic", images or self.critic == "plain", "plain, or gan.network=images")
        self.require("norm", images or self.norm == "none", "none, or gan.network=images")
        self.require("augment", images or not self.augment, "none, or gan.network=images")
        closed_form = self.critic_gradients == "closed_form"
        plain = not images and self.loss == "wasserstein"
        self.require(
            "critic_gradients",
            plain or not closed_form,
            "autograd with image networks or another loss than wasserstein",
        )
