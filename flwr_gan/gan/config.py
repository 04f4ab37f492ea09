"""Settings of the networks and of their training (paper 000, Alg. 1 and Table 1)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from flwr_gan.errors import ConfigError

CRITIC_GRADIENTS = ("closed_form", "autograd")


@dataclass(frozen=True, kw_only=True)
class GanConfig:
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

    Raises
    ------
    ConfigError
        If a value is of the wrong type or out of range; names the key, the value and what is
        allowed.
    """

    latent_dim: int = 64
    channels: tuple[int, ...] = (256, 128)
    kernel_size: int = 3
    critic_hidden: tuple[int, ...] = (256, 256)
    iterations: int = 1000
    local_iterations: int = 40
    batch_size: int = 64
    critic_iterations: int = 5
    fresh_batch: bool = True
    generator_lr: float = 1e-3
    critic_lr: float = 1e-3
    betas: tuple[float, ...] = (0.0, 0.9)
    penalty: float = 10.0
    critic_gradients: str = "closed_form"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
        for key in (
            "latent_dim",
            "iterations",
            "local_iterations",
            "batch_size",
            "critic_iterations",
        ):
            self._require(key, _is_count(getattr(self, key)), "a whole number of at least 1")
        size = self.kernel_size
        self._require("kernel_size", _is_count(size) and size % 2 == 1, "an odd whole number")
        for key in ("channels", "critic_hidden"):
            self._require(key, _is_pair(getattr(self, key), _is_count), "two whole numbers >= 1")
        self._require("fresh_batch", isinstance(self.fresh_batch, bool), "true or false")
        for key in ("generator_lr", "critic_lr"):
            rate = getattr(self, key)
            self._require(key, _is_number(rate) and 0 < rate <= 1, "a number above 0, at most 1")
        self._require("betas", _is_pair(self.betas, _is_decay), "two numbers in [0, 1)")
        positive = _is_number(self.penalty) and self.penalty >= 0
        self._require("penalty", positive, "a number of at least 0")
        known = self.critic_gradients in CRITIC_GRADIENTS
        self._require("critic_gradients", known, " or ".join(CRITIC_GRADIENTS))

    def _require(self, key: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ConfigError(f"gan.{key}={getattr(self, key)!r} is not allowed: give {allowed}")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_decay(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


def _is_pair(values: object, check: Callable[[object], bool]) -> bool:
    return isinstance(values, tuple) and len(values) == 2 and all(map(check, values))
