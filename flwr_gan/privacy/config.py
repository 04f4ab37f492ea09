"""Settings of differentially private training of the critic on a client."""

from dataclasses import dataclass

from flwr_gan.core.settings import Amount, Positive, Settings, Share
from flwr_gan.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PrivacyConfig(Settings):
    """How a client hides each of its samples from everybody who sees what it uploads.

    Exactly one of `noise_multiplier` and `target_epsilon` is set; ``conf/privacy`` describes each.
    """

    group = "privacy"

    noise_multiplier: Amount | None = None  # 0 promises nothing: epsilon is infinite
    # each client's noise follows from its number of samples and the planned critic steps
    target_epsilon: Positive | None = None
    delta: Share = 1e-4
    clip: Positive = 1.0  # Euclidean norm over all critic weights
    label_noise: Positive = 4.0
    # False: batches and noise follow from the run's seed; whoever knows it can take the noise off
    secret: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.noise_multiplier is None) == (self.target_epsilon is None):
            raise ConfigError(
                f"privacy.noise_multiplier={self.noise_multiplier} and privacy.target_epsilon="
                f"{self.target_epsilon}: set one of them and leave the other null"
            )
