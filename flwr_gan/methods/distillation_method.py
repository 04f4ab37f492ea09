"""Distillation as a method: the trained generator is the teacher, a narrower one comes out."""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan.dcgan import DepthGenerator, depth_channels
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.base import Method, TrainedGan
from flwr_gan.methods.chain import channel_counts, cut, resized
from flwr_gan.methods.channel_criteria import largest_filters
from flwr_gan.methods.distillation import distil, require_rate, used_terms
from flwr_gan.methods.settings import require_count, require_switch

PIXEL: Mapping[str, float] = MappingProxyType({"pixel": 1.0})


class Distillation(Method):
    """Train a student on what the teacher gives for the same latent vectors.

    Parameters
    ----------
    width : float
        Share of each hidden layer's channels that the student has, above 0, at most 1; a layer
        keeps at least one.
    depth : int or None
        Depth factor d of the student of a ``DepthGenerator``; goes before ``width``.
    inherit : bool
        True: the student is the teacher without its weakest channels (those whose filters have the
        smallest norm) and starts from its weights. False: it starts from weights drawn anew.
    losses : mapping from str to float
        Weight of each term of ``distillation_losses.TERMS``.
    learning_rate : float
        Adam's.
    batch_size : int
        Latent vectors in a batch.

    Raises
    ------
    ConfigError
        If a setting is out of range or a term unknown.
    """

    def __init__(
        self,
        *,
        width: float = 0.5,
        depth: int | None = None,
        inherit: bool = False,
        losses: Mapping[str, float] = PIXEL,
        learning_rate: float = 1e-3,
        batch_size: int = 64,
    ) -> None:
        require_rate("width", width)
        if depth is not None:
            require_count("depth", depth)
        require_switch("inherit", inherit)
        require_rate("learning_rate", learning_rate)
        require_count("batch_size", batch_size)
        self._width, self._depth, self._inherit = width, depth, inherit
        self._losses = used_terms(losses)
        self._learning_rate, self._batch_size = learning_rate, batch_size

    def __repr__(self) -> str:
        size = f"width={self._width}" if self._depth is None else f"depth={self._depth}"
        return f"Distillation({size}, inherit={self._inherit}, losses={self._losses})"

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a generator of the student's form, with weights of no meaning."""
        return resized(generator, self._channels(generator))

    def compress(
        self,
        gan: TrainedGan,
        *,
        iterations: int,
        rng: torch.Generator,
        progress: str | None = None,
    ) -> SampleGenerator:
        """Return the distilled student; labels follow those of the GAN's real samples."""
        student = self.start(gan.generator, rng)
        student.to(next(gan.generator.parameters()).device)
        distil(
            student,
            teacher=gan.generator,
            critic=gan.critic,
            labels_N=gan.y_N,
            losses=self._losses,
            iterations=iterations,
            batch_size=self._batch_size,
            learning_rate=self._learning_rate,
            rng=rng,
            real_NTC=gan.x_NTC,
            progress=progress,
        )
        return student

    def start(self, teacher: SampleGenerator, rng: torch.Generator) -> SampleGenerator:
        """Return the student as it is before it learns; draws from ``rng`` unless it inherits."""
        channels = self._channels(teacher)
        if self._inherit:
            return cut(teacher, largest_filters(teacher, channels))
        seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
        return resized(teacher, channels, seed=seed)

    def _channels(self, teacher: SampleGenerator) -> tuple[int, ...]:
        before = channel_counts(teacher)
        if self._depth is None:
            return tuple(max(1, round(self._width * count)) for count in before)
        if not isinstance(teacher, DepthGenerator):
            raise ConfigError(
                f"method.depth={self._depth} is not for a {type(teacher).__name__}: give "
                "method.width, or a DepthGenerator"
            )
        channels = depth_channels(self._depth)
        if self._inherit and any(new > old for new, old in zip(channels, before, strict=True)):
            raise ConfigError(
                f"method.depth={self._depth} with method.inherit=true asks for {list(channels)} "
                f"channels of a teacher that has {list(before)}: lower it"
            )
        return channels
