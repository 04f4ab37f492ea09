"""Compression by training: from a trained GAN to a generator that takes fewer bytes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flwr_gan.core.settings import Settings
from flwr_gan.gan import GanConfig, WganGpTrainer
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.trainer import Regulariser


@dataclass(frozen=True, kw_only=True)
class TrainedGan:
    """The input of a method; it is not changed."""

    generator: SampleGenerator  # the trained generator, the teacher in distillation
    critic: nn.Module  # the critic that it was trained against
    x_NTC: NDArray[np.float32]  # real samples; they are not sent
    y_N: NDArray[np.int64]
    config: GanConfig  # of adversarial training; ``iterations`` is ignored


class Method(Settings, ABC):
    """One way to compress a generator by training; a dataclass of its settings."""

    group = "method"

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the form of ``compress``'s result, with arbitrary weights.

        A receiver builds it to know the expected arrays. By default the form does not change.

        Raises
        ------
        ConfigError
            If the form depends on the training, or the settings do not fit the generator.
        """
        return deepcopy(generator)

    def compress(
        self,
        gan: TrainedGan,
        *,
        iterations: int,
        rng: torch.Generator,
        progress: str | None = None,
    ) -> SampleGenerator:
        """Return a generator that takes fewer bytes.

        Parameters
        ----------
        gan : TrainedGan
            Not changed.
        iterations : int
            Training budget: updates of the resulting generator.
        rng : torch.Generator
            Source of all random numbers; it advances.
        progress : str or None
            Label of a progress bar, drawn only on a terminal; None draws none.

        Raises
        ------
        ConfigError
            If the settings do not fit the generator.
        TrainingError
            If a loss or a weight is not finite.
        """
        return self._compress(gan, Budget(iterations=iterations, rng=rng, progress=progress))

    @abstractmethod
    def _compress(self, gan: TrainedGan, budget: "Budget") -> SampleGenerator:
        """Compress the generator, see ``compress``."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The training budget of a method; the parameters are those of ``Method.compress``."""

    iterations: int
    rng: torch.Generator
    progress: str | None = None

    def train(
        self,
        gan: TrainedGan,
        generator: SampleGenerator,
        *,
        iterations: int | None = None,
        mask: Mapping[str, NDArray[np.bool_]] | None = None,
        critic: nn.Module | None = None,
        regulariser: Regulariser | None = None,
    ) -> nn.Module:
        """Train a generator in place like the GAN; return the critic at the end.

        It uses a number of iterations, by default all; with 0 nothing is trained. ``critic`` is
        trained in place, by default a copy of the GAN's. Weights may be parametrised; ``mask`` is
        True for kept weights. The value of ``regulariser`` is added to the generator's loss.
        """
        iterations = self.iterations if iterations is None else iterations
        critic = deepcopy(gan.critic) if critic is None else critic
        if iterations:
            trainer = WganGpTrainer(
                generator, critic, config=gan.config, generator_regulariser=regulariser
            )
            trainer.train(
                gan.x_NTC,
                gan.y_N,
                iterations=iterations,
                rng=self.rng,
                mask=mask,
                progress=self.progress,
            )
        return critic
