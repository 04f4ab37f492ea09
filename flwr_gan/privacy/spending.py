"""The privacy of one client: settings, spending, state and reports.

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
    """Settings for hiding each sample of a client from everybody who sees its uploads.

    Exactly one of `noise_multiplier` and `target_epsilon` is set; ``conf/privacy`` describes each.
    """

    group = "privacy"

    noise_multiplier: Amount | None = None  # 0: no guarantee, epsilon is infinite
    # each client's noise is computed from its number of samples and planned critic steps
    target_epsilon: Positive | None = None
    delta: Share = 1e-4
    clip: Positive = 1.0  # Euclidean norm over all critic weights
    label_noise: Positive = 4.0
    # False: batches and noise follow from the run's seed; with the seed, noise can be removed
    secret: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.noise_multiplier is None) == (self.target_epsilon is None):
            raise ConfigError(
                f"privacy.noise_multiplier={self.noise_multiplier} and privacy.target_epsilon="
                f"{self.target_epsilon}: set one of them and leave the other null"
            )


SPENT_KEYS = ("epsilon", "delta", "noise_multiplier", "clip", "sample_rate", "steps", "label_noise")
"""A client's report of its spending: the columns of ``privacy.csv``."""

_PREFIX = "privacy."


@dataclass
class ClientPrivacy:
    """A client's spending and releases so far."""

    config: PrivacyConfig
    gan: GanConfig
    num_samples: int  # N, assumed to be public
    planned_steps: int  # critic steps of the whole run; used with a target epsilon
    account: PrivacyAccount = field(init=False)
    _counts_K: NDArray[np.int64] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.account = PrivacyAccount(self.config.delta)

    @cached_property
    def noise_multiplier(self) -> float:
        """Noise multiplier of the critic's steps: as set, or the least that keeps the target.

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
        """Return the noisy class counts; they are drawn and paid for only once."""
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
        """Return a trainer that adds its critic steps to this client's account."""
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
        """Return the client's report besides the weights, independent of its samples."""
        rate = sample_rate(self.num_samples, self.gan.batch_size)
        steps = sum(release.steps for release in self.account.history)
        values = (
            self.account.epsilon,
            self.config.delta,
            self.noise_multiplier,
            self.config.clip,
            rate,
            steps - (self._counts_K is not None),  # minus the release of the counts
            self.config.label_noise,
        )
        return {f"{_PREFIX}{key}": float(v) for key, v in zip(SPENT_KEYS, values, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Return the state to keep until the client trains again."""
        return {"history": self.account.history, "counts": self._counts_K}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        history = [Release(*release) for release in state["history"]]
        self.account = PrivacyAccount(self.config.delta, history)
        self._counts_K = state["counts"]


def spending_row(
    server_round: int, partition: int, metrics: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the row of ``privacy.csv`` in a reply's metrics, None if there is none."""
    if f"{_PREFIX}epsilon" not in metrics:
        return None
    row = {key: metrics[f"{_PREFIX}{key}"] for key in SPENT_KEYS}
    row["steps"] = int(row["steps"])
    return {"round": server_round, "client": partition, **row}
