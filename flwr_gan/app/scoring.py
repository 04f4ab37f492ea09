"""Quality of a federation's samples, measured by the server after each round."""

# N samples, T vectors, C components

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flwr_gan.app.breakdown import Breakdown
from flwr_gan.app.federation import Federation
from flwr_gan.app.generator_file import GeneratorInfo
from flwr_gan.app.measuring import measuring_threads
from flwr_gan.data import Dataset
from flwr_gan.errors import ConfigError
from flwr_gan.gan import network_arrays
from flwr_gan.metrics import SampleJudge
from flwr_gan.metrics.inception import inception_scores, read_weights
from flwr_gan.metrics.stages import pool_accuracy, stage_scores
from flwr_gan.plots import breakdown_figure, sample_grid, save_figure
from flwr_gan.seeding import derive_seed

Weights = Sequence[NDArray[Any]]

GRID_COLUMNS = 12


@dataclass
class RoundScorer:
    """The server's measures after each round, and pictures at the end.

    ``Scorer`` is for GANs, ``ClassifierScorer`` for classifiers.
    """

    federation: Federation

    picture: ClassVar[str]
    """The name of the picture that ``write`` writes."""
    shows: ClassVar[str]
    """The picture's file and its title."""

    def __post_init__(self) -> None:
        self.config = self.federation.config

    @property
    def judges(self) -> bool:
        """Whether the server evaluates."""
        return self.config.evaluation == "server"

    def check(self) -> None:
        """Raise ConfigError if a requested measure is not possible."""

    def describe(self, models: Path) -> None:
        """Write the files needed to load the models into their folder."""


@dataclass(frozen=True)
class LastScores:
    """Samples of a finished run, one row per class, and their quality."""

    x_KnTC: NDArray[np.float32]
    classes: Sequence[str]
    own: Mapping[str, Any]
    breakdown: Breakdown | None


@dataclass
class Scorer(RoundScorer):
    """Draw samples of a run's model, and score them.

    The inner strategy may draw its own samples (``sample``) and name the classes that it can
    generate (``held_classes``).
    """

    strategy: Any

    picture = "samples"
    shows = "samples.png shows what it generates"

    @cached_property
    def judge(self) -> SampleJudge:
        """The judge of samples, built on first use."""
        seed = derive_seed(self.config.seed, "judge")
        return _judge(self.federation.dataset, seed, self.config.federation.threads)

    @property
    def real_scores(self) -> dict[str, float] | None:
        """The same measures of real samples, None if the server does not evaluate."""
        if not self.judges:
            return None
        with measuring_threads(self.config.federation.threads):
            return self.judge.real_scores

    @property
    def classes(self) -> NDArray[np.int64]:
        """The classes that the strategy can generate."""
        held = getattr(self.strategy, "held_classes", None)
        return np.arange(self.federation.num_classes) if held is None else np.array(held)

    def score(
        self, server_round: int, weights: Weights, earlier: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Return the quality of the generated samples after a round.

        It is empty if the server does not evaluate. Drift needs the rows of earlier rounds.
        """
        if not self.judges or not len(self.classes):
            return {}
        return self._whole(server_round, weights) | self._stages(server_round, weights, earlier)

    def describe(self, models: Path) -> None:
        """Write ``generator.json``."""
        GeneratorInfo.of(self.federation).write(models)

    def last(self, weights: Weights, *, server_round: int, uploads: Path | None) -> LastScores:
        """Draw samples and score them by class, by client, and against training samples.

        The result includes measures of real samples, and FID and KID if requested. `uploads` is
        the folder of the clients' last uploads, None if the server does not know their data.
        """
        labels_N = np.repeat(self.classes, GRID_COLUMNS)
        x_NTC = self.generate(weights, labels_N, derive_seed(self.config.seed, "grid"))
        return LastScores(
            x_KnTC=x_NTC.reshape(-1, GRID_COLUMNS, *x_NTC.shape[1:]),
            classes=[self.federation.dataset.class_names[k] for k in self.classes],
            own={"real": self.real_scores} | self.inception(weights),
            breakdown=Breakdown.of(self, weights, server_round=server_round, generators=uploads),
        )

    def write(self, found: LastScores, folder: Path) -> dict[str, Any]:
        """Write ``samples.png`` and ``breakdown.png``; return additions to the summary."""
        grid = sample_grid(found.x_KnTC, found.classes, self.federation.dataset.kind)
        save_figure(grid, folder / f"{self.picture}.png")
        scores = found.breakdown
        if scores is None:
            return dict(found.own)
        near = scores.nearness
        distances = None if near is None else (near.generated_G, near.real_R)
        figure = breakdown_figure(scores.by_class, scores.by_client, distances)
        save_figure(figure, folder / "breakdown.png")
        return {**found.own, **scores.summary()}

    def generate(
        self, weights: Weights, labels_N: NDArray[np.int64], seed: int
    ) -> NDArray[np.float32]:
        """Return ``x_NTC``: the strategy's samples if it draws its own, else the model's."""
        own = getattr(self.strategy, "sample", None)
        if own is not None:
            drawn: NDArray[np.float32] = own(labels_N, seed)
            return drawn
        return self.federation.generate(self.named(weights), labels_N, seed)

    def check(self) -> None:
        """Raise ConfigError if FID is requested and its weights or the samples do not allow it.

        The weights file is read, so that an error in it does not appear only at the end of a run.
        """
        path, data = self.config.metrics.inception, self.federation.dataset
        if path is None:
            return
        if data.kind != "image" or data.num_channels not in (1, 3):
            raise ConfigError(
                f"metrics.inception={path} is for images, grey or in colour, and samples of "
                f"{data.name} are {data.kind} of {data.form}: give null"
            )
        read_weights(path)

    def inception(self, weights: Weights) -> dict[str, dict[str, float]]:
        """Return FID and KID of generated images against test images, if requested."""
        settings = self.config.metrics
        if settings.inception is None:
            return {}
        real = self.federation.as_trained(self.federation.dataset.test)
        places = np.flatnonzero(np.isin(real.y_N, self.classes))
        count = min(len(places), settings.images)
        real = real.take(places[np.linspace(0, len(places) - 1, count).astype(np.int64)])
        seed = derive_seed(self.config.seed, "inception")
        with measuring_threads(self.config.federation.threads):
            x_NTC = self.generate(weights, real.y_N, seed)
            found = inception_scores(real.x_NTC, x_NTC, weights=settings.inception, seed=seed)
        return {"inception": found | {"images": len(real)}}

    def named(self, weights: Weights) -> dict[str, NDArray[Any]]:
        """Return the global parameters by name."""
        generator, _ = self.federation.networks(self.config.seed)
        return dict(zip(network_arrays(generator), weights, strict=True))

    def _whole(self, server_round: int, weights: Weights) -> dict[str, float]:
        with measuring_threads(self.config.federation.threads):
            known, of_data = self.federation.num_classes, self.federation.dataset.num_classes
            count = self.config.samples_per_class * of_data // known
            labels_N = np.repeat(self.classes, count)
            seed = derive_seed(self.config.seed, "score", round=server_round)
            x_NTC = self.generate(weights, labels_N, seed)
            conditional = self.config.gan.conditional
            return self.judge.score(x_NTC, labels_N if conditional else None, seed=seed)

    def _stages(
        self, server_round: int, weights: Weights, earlier: Sequence[Mapping[str, Any]]
    ) -> dict[str, float]:
        """Return the quality on old and new data, if the data drift."""
        references = self.federation.references(self.federation.stage(server_round))
        if not references:
            return {}
        inner, count = self.strategy, self.config.samples_per_class
        seed = derive_seed(self.config.seed, "stages", round=server_round)
        with measuring_threads(self.config.federation.threads):
            row = stage_scores(
                self.judge,
                references,
                lambda labels_N: self.generate(weights, labels_N, seed),
                samples_per_class=count,
                earlier=earlier,
            )
            if getattr(inner, "known_classes", ()):
                row |= pool_accuracy(self.judge, inner, seed=seed, samples_per_class=count)
        return row


@lru_cache(maxsize=1)
def _judge(dataset: Dataset, seed: int, threads: int) -> SampleJudge:
    """Return the judge of a data set; the last one is cached for the next run of a sweep."""
    with measuring_threads(threads):
        return SampleJudge(dataset.train, dataset.test, num_classes=dataset.num_classes, seed=seed)
