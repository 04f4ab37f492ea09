"""The privacy of one client: its settings, what it spends, remembers and reports.

K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flwr_gan.core.settings import Amount, Positive, Settings, Share
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.privacy.accounting import PrivacyAccount, Release, noise_for
from flwr_gan.privacy.batches import noisy_class_counts, sample_rate
from flwr_gan.privacy.trainer import PrivateTrainer


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


SPENT_KEYS = ("epsilon", "delta", "noise_multiplier", "clip", "sample_rate", "steps", "label_noise")
"""What a client reports of its spending; a column each in ``privacy.csv``."""

_PREFIX = "privacy."


@dataclass
class ClientPrivacy:
    """What a client has spent and released so far."""

    config: PrivacyConfig
    gan: GanConfig
    num_samples: int  # N, taken to be known
    planned_steps: int  # critic steps of the whole run; used where a target epsilon is set
    account: PrivacyAccount = field(init=False)
    _counts_K: NDArray[np.int64] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.account = PrivacyAccount(self.config.delta)

    @cached_property
    def noise_multiplier(self) -> float:
        """That of the critic's steps: as it was set, or the least that keeps the target.

        Raises ConfigError when no noise keeps the target.
        """
        if self.config.target_epsilon is None:
            return float(self.config.noise_multiplier or 0.0)
        return noise_for(
            self.config.target_epsilon,
            delta=self.config.delta,
            sample_rate=sample_rate(self.num_samples, self.gan.batch_size),
            steps=self.planned_steps,
            beside=(Release(self.config.label_noise, 1.0, 1),),
        )

    def class_counts(
        self, y_N: NDArray[np.int64], *, num_classes: int, rng: torch.Generator
    ) -> NDArray[np.int64]:
        """Return the noisy class counts; they are drawn and paid for once, ever."""
        if self._counts_K is None:
            noise = self.config.label_noise
            self.account.spend(noise, 1.0, 1)
            self._counts_K = noisy_class_counts(y_N, num_classes=num_classes, noise=noise, rng=rng)
        return self._counts_K

    def trainer(
        self,
        generator: SampleGenerator,
        critic: nn.Module,
        *,
        counts_K: NDArray[np.int64],
        device: str,
    ) -> PrivateTrainer:
        """Return a trainer whose critic steps are entered into this client's account."""
        return PrivateTrainer(
            generator,
            critic,
            config=self.gan,
            noise_multiplier=self.noise_multiplier,
            clip=self.config.clip,
            account=self.account,
            label_share_K=counts_K / counts_K.sum(),
            device=device,
        )

    def report(self) -> dict[str, float]:
        """Return what the client reports beside its weights: nothing that its samples decide."""
        rate = sample_rate(self.num_samples, self.gan.batch_size)
        steps = sum(release.steps for release in self.account.history)
        values = (
            self.account.epsilon,
            self.config.delta,
            self.noise_multiplier,
            self.config.clip,
            rate,
            steps - (self._counts_K is not None),  # that one is the release of the counts
            self.config.label_noise,
        )
        return {f"{_PREFIX}{key}": float(v) for key, v in zip(SPENT_KEYS, values, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Return what has to survive until the client trains again."""
        return {"history": self.account.history, "counts": self._counts_K}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        history = [Release(*release) for release in state["history"]]
        self.account = PrivacyAccount(self.config.delta, history)
        self._counts_K = state["counts"]


def spending_row(
    server_round: int, partition: int, metrics: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the row of ``privacy.csv`` that a reply's metrics hold; None where they hold none."""
    if f"{_PREFIX}epsilon" not in metrics:
        return None
    row = {key: metrics[f"{_PREFIX}{key}"] for key in SPENT_KEYS}
    row["steps"] = int(row["steps"])
    return {"round": server_round, "client": partition, **row}
