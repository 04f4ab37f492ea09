"""Settings of differentially private training of the critic on a client."""

from dataclasses import dataclass

from flwr_gan.core.settings import Amount, Positive, Settings, Share
from flwr_gan.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig(Settings):
    """How a client hides each of its samples from everybody who sees what it uploads.

    Exactly one of `noise_multiplier` and `target_epsilon` is set.

    Parameters
    ----------
    noise_multiplier : float or None
        Standard deviation of the noise on the summed gradients of a critic step, over `clip`;
        0 clips only and promises nothing (epsilon is infinite).
    target_epsilon : float or None
        Epsilon that a client has spent at the end of the run; each client's noise multiplier
        follows from it, from the number of its samples and from the planned critic steps.
    delta : float
        Below one over the number of samples of every client.
    clip : float
        Largest Euclidean norm of one sample's gradient over all critic weights.
    label_noise : float
        Standard deviation of the noise on the client's class counts, which are released once.
    secret : bool
        False: batches and noise follow from the run's seed, so that a run can be repeated, and
        whoever knows the seed can take the noise off again. True: they come from the operating
        system, as a deployment needs.
    """

    group = "privacy"

    noise_multiplier: Amount | None = None
    target_epsilon: Positive | None = None
    delta: Share = 1e-4
    clip: Positive = 1.0
    label_noise: Positive = 4.0
    secret: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.noise_multiplier is None) == (self.target_epsilon is None):
            raise ConfigError(
                f"privacy.noise_multiplier={self.noise_multiplier} and privacy.target_epsilon="
                f"{self.target_epsilon}: set one of them and leave the other null"
            )
