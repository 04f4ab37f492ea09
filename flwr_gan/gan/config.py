"""Settings of the networks and of their training (paper 000, Alg. 1 and Table 1)."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flwr_gan.core.settings import Amount, Count, Rate, Settings, Within

Decay = Annotated[float, Within(at_least=0, below=1)]


@dataclass(frozen=True, kw_only=True)
class GanConfig(Settings):
    """Sizes of generator and critic and the hyperparameters of Alg. 1.

    Lists are accepted where a tuple is named and become tuples, so a config that was read from
    yaml can be passed as it is.

    Parameters
    ----------
    latent_dim : int
        Length L of the latent vector z, drawn from N(0, I).
    channels : tuple of two ints
        Channels that the fully connected layer and the first convolution of the generator give.
    kernel_size : int
        Width of both convolutions along the T vectors; odd, so that T is kept.
    critic_hidden : tuple of two ints
        Widths of the two hidden layers of the critic.
    iterations : int
        N, generator iterations of one training.
    local_iterations : int
        Generator iterations of a client in one federated round, where a training is spread over
        rounds.
    batch_size : int
        B, samples in a batch.
    critic_iterations : int
        R, critic iterations for each generator iteration.
    fresh_batch : bool
        False: all R critic iterations see the batch that was loaded once, as in Alg. 1.
        True: each critic iteration loads its own batch.
    generator_lr, critic_lr : float
        Adam's learning rates.
    betas : tuple of two floats
        Adam's decay rates, for both networks.
    penalty : float
        lambda, strength of the gradient penalty.
    critic_gradients : str
        ``"closed_form"``: by formula, the fast path. ``"autograd"``: double backpropagation; the
        same up to rounding.
    """

    group = "gan"

    latent_dim: Count = 64
    channels: tuple[Count, Count] = (256, 128)
    kernel_size: Count = 3
    critic_hidden: tuple[Count, Count] = (256, 256)
    iterations: Count = 1000
    local_iterations: Count = 40
    batch_size: Count = 64
    critic_iterations: Count = 5
    fresh_batch: bool = True
    generator_lr: Rate = 1e-3
    critic_lr: Rate = 1e-3
    betas: tuple[Decay, Decay] = (0.0, 0.9)
    penalty: Amount = 10.0
    critic_gradients: Literal["closed_form", "autograd"] = "closed_form"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("kernel_size", self.kernel_size % 2 == 1, "an odd whole number")
