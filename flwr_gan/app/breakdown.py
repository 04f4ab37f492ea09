"""Quality of a run's samples by class and by client, and their distance to training samples.

N samples, T vectors, C components
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from flwr_gan.app.generator_file import load_generator
from flwr_gan.app.measuring import measuring_threads
from flwr_gan.data import Samples
from flwr_gan.gan import sample
from flwr_gan.metrics.copying import Nearness
from flwr_gan.seeding import derive_seed

if TYPE_CHECKING:
    from flwr_gan.app.scoring import Scorer, Weights

MOST_CLIENTS = 100
"""Maximum number of clients scored one by one: the first ones."""
MOST_SAMPLES = 500
"""Maximum number of compared samples per client and per class."""

JUDGED = {"conditional_accuracy": min, "frechet_distance": max}
"""The measures of each class and client, and which value is the worst."""

Scores = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Breakdown:
    """Scores by the class's name and by the client's number, and distances.

    Unknown parts are empty or None: for a generator without classes, for nodes with their own data,
    and for samples whose form changes in the run.
    """

    by_class: Scores
    by_client: Scores
    nearness: Nearness | None

    @classmethod
    def of(
        cls, scorer: "Scorer", weights: "Weights", *, server_round: int, generators: Path | None
    ) -> "Breakdown | None":
        """Score the generator after a round; None where the server does not evaluate.

        ``generators`` is the folder of the clients' last uploads, None if the server does not know
        the clients' data.
        """
        if not scorer.judges or not len(scorer.classes):
            return None
        federation, config = scorer.federation, scorer.config
        count = min(config.samples_per_class, MOST_SAMPLES)
        labels_N = np.repeat(scorer.classes, count)
        seed, data = derive_seed(config.seed, "breakdown"), federation.dataset
        nearness = None
        with measuring_threads(config.federation.threads):
            drawn = Samples(scorer.generate(weights, labels_N, seed), labels_N)
            by_class = dict(_class_scores(scorer, drawn)) if config.gan.conditional else {}
            by_client = {}
            if generators is not None:
                stage = federation.stage(server_round)
                by_client = dict(_client_scores(scorer, weights, stage, generators))
            if federation.drift is None:
                nearness = Nearness.of(drawn, *map(federation.as_trained, (data.test, data.train)))
        return cls(by_class, by_client, nearness)

    def summary(self) -> dict[str, Any]:
        """Return the part of ``summary.json``, with the worst class and client per measure."""
        found: dict[str, Any] = {}
        for what, scores in (("class", self.by_class), ("client", self.by_client)):
            if scores:
                found |= {f"by_{what}": scores, f"worst_{what}": _worst(scores)}
        return found | ({} if self.nearness is None else {"copying": self.nearness.scores})


def _class_scores(scorer: "Scorer", drawn: Samples) -> Iterator[tuple[str, dict[str, float]]]:
    """Score the samples of each class, and training samples, against test samples."""
    data = scorer.federation.dataset
    for k in scorer.classes:
        made, test, train = (
            _some(part.take(np.flatnonzero(part.y_N == k)))
            for part in (drawn, data.test, data.train)
        )
        if min(map(len, (made, test, train))) > 1:
            row = scorer.judge.compare(made.x_NTC, made.y_N, test.x_NTC)
            real = scorer.judge.compare(train.x_NTC, None, test.x_NTC)
            yield data.class_names[k], row | {f"real_{key}": value for key, value in real.items()}


def _client_scores(
    scorer: "Scorer", weights: "Weights", stage: int, generators: Path
) -> Iterator[tuple[str, dict[str, float]]]:
    """Score samples with a client's labels against the client's own samples.

    Measures ``own_*`` are those of the generator that the client uploaded last.
    """
    federation = scorer.federation
    for client in range(min(len(federation.split), MOST_CLIENTS)):
        held = federation.samples_in(stage, federation.samples_of(client), client)
        known = federation.as_trained(held)
        known = _some(known.take(np.flatnonzero(np.isin(known.y_N, scorer.classes))))
        if len(known) < 2:
            continue
        seed = derive_seed(scorer.config.seed, "breakdown", partition=client)
        made = {"": scorer.generate(weights, known.y_N, seed)}
        upload = generators / f"client-{client:05d}.fgan"
        if upload.exists():
            rng = torch.Generator().manual_seed(seed)
            made["own_"] = sample(load_generator(upload), known.y_N, rng=rng)
        row: dict[str, float] = {"samples": len(held)}
        for whose, x_NTC in made.items():
            y_N = known.y_N if scorer.config.gan.conditional else None
            found = scorer.judge.compare(x_NTC, y_N, known.x_NTC)
            row |= {f"{whose}{key}": value for key, value in found.items()}
        yield str(client), row


def _some(samples: Samples) -> Samples:
    """Return at most ``MOST_SAMPLES`` samples, evenly spread over all."""
    count = min(len(samples), MOST_SAMPLES)
    return samples.take(np.linspace(0, len(samples) - 1, count).round())


def _worst(scores: Scores) -> dict[str, str]:
    """Return the name of the worst for each measure of the run's generator."""
    return {
        key: worst(scores, key=lambda name: scores[name][key])
        for key, worst in JUDGED.items()
        if all(key in row for row in scores.values())
    }
