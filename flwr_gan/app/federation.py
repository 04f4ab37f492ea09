"""Build the objects of client and server apps from the config."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch
from flwr.app import Context
from flwr.client import NumPyClient
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import nn

from flwr_gan.app.config import build, load_config, read_config
from flwr_gan.app.nodes import own_data, settings_of
from flwr_gan.app.overrides import split_overrides
from flwr_gan.app.run_config import RunConfig
from flwr_gan.data import Dataset, Samples
from flwr_gan.data.drift import Drift, DriftContext
from flwr_gan.errors import ConfigError, PartitionError
from flwr_gan.gan import build_networks, sample, torch_threads
from flwr_gan.gan.build import check_form
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import load_network_arrays
from flwr_gan.methods import Method
from flwr_gan.privacy import ClientPrivacy
from flwr_gan.seeding import derive_seed, numpy_rng

if TYPE_CHECKING:
    from flwr_gan.app.classifier.scoring import ClassifierScorer
    from flwr_gan.app.scoring import Scorer
    from flwr_gan.metrics import SampleJudge

# Data files are searched in places given by these and by the working folder.
DATA_VARIABLES = ("FLWR_GAN_DATA", "XDG_CACHE_HOME", "HOME")


@dataclass(frozen=True)
class Federation:
    """A validated config with the data it names: everything but the networks' weights.

    `split` holds the indices of each client's samples; it is empty if nodes have their own data.
    ``initial``, ``iterations``, ``client`` and ``scorer`` depend on the trained model: a GAN here,
    a classifier in ``ClassifierFederation``.
    """

    models: ClassVar[str] = "generators"
    """The folder of a run's results for the trained models."""

    config: RunConfig
    dataset: Dataset
    split: Sequence[NDArray[np.int64]]

    def samples_of(self, partition: int) -> Samples:
        """Return the training samples of a client: for a node with its own data, all of them.

        Raises ``PartitionError`` if there is no such client.
        """
        if not self.split:
            return self._all
        if not 0 <= partition < len(self.split):
            raise PartitionError(
                f"there is no partition {partition}: federation.num_clients={len(self.split)}; "
                "start as many nodes"
            )
        return self.dataset.train.take(self.split[partition])

    def shares_of(self, partition: int) -> tuple[Samples, Samples]:
        """Return a client's training and held-out samples; all twice if it does not evaluate.

        Raises ``PartitionError`` if there is no such client.
        """
        samples, config = self.samples_of(partition), self.config
        if config.evaluation != "clients":
            return samples, samples
        order = numpy_rng(config.seed, "holdout", partition=partition).permutation(len(samples))
        count = max(1, round(config.federation.holdout * len(samples)))
        return samples.take(np.sort(order[count:])), samples.take(np.sort(order[:count]))

    @cached_property
    def judges(self) -> dict[int, "SampleJudge"]:
        """The judges of clients that evaluate, by client number; each is trained once."""
        return {}

    @cached_property
    def _all(self) -> Samples:
        """All samples of a node's own data; `evaluation` decides whether some are held out."""
        parts = self.dataset.train, self.dataset.test
        writers = [part.writer_N for part in parts if part.writer_N is not None]
        return Samples(
            np.concatenate([part.x_NTC for part in parts]),
            np.concatenate([part.y_N for part in parts]),
            np.concatenate(writers) if writers else None,
        )

    @property
    def num_classes(self) -> int:
        """Number of classes of the generator: 1 if it is unconditional."""
        return self.dataset.num_classes if self.config.gan.conditional else 1

    def as_trained(self, samples: Samples) -> Samples:
        """Return samples with their labels in training."""
        if self.config.gan.conditional:
            return samples
        return Samples(samples.x_NTC, np.zeros_like(samples.y_N), samples.writer_N)

    @property
    def sizes(self) -> list[int]:
        """Number of training samples of each client with known data."""
        if self.split:
            return [len(indices) for indices in self.split]
        own = len(self.dataset.train) + len(self.dataset.test)
        return [own] if own else []

    def networks(self, seed: int) -> tuple[SampleGenerator, nn.Module]:
        """Return generator and critic with initial weights drawn from a seed."""
        data = self.dataset
        return build_networks(
            self.config.gan, **_form(data), num_classes=data.num_classes, seed=seed
        )

    @cached_property
    def method(self) -> Method | None:
        """The method that clients apply to their trained generator before the upload."""
        node = self.config.method
        return None if node is None else cast(Method, build(node))

    @cached_property
    def drift(self) -> Drift | None:
        """The drift of the clients' data over the rounds, if any."""
        node = self.config.drift
        return None if node is None else cast(Drift, build(node))

    @cached_property
    def drift_context(self) -> DriftContext:
        """The run's data that a drift needs."""
        return DriftContext(
            num_classes=self.dataset.num_classes,
            kind=self.dataset.kind,
            seed=derive_seed(self.config.seed, "drift"),
        )

    def stage(self, server_round: int) -> int:
        """Return the stage of the drift in a round, 0 without a drift."""
        return 0 if self.drift is None else self.drift.stage(server_round)

    def samples_in(self, stage: int, samples: Samples, partition: int) -> Samples:
        """Return a client's samples in a stage, in the style of that stage."""
        if self.drift is None:
            return samples
        return self.drift.samples(samples, self.drift_context, stage=stage, partition=partition)

    def references(self, stage: int) -> list[Samples]:
        """Return real samples of each stage's new data, up to a stage; none without a drift."""
        if self.drift is None:
            return []
        clients = [self.dataset.train.take(indices) for indices in self.split]
        return [
            self.drift.reference(clients, self.dataset.test, self.drift_context, stage=s)
            for s in range(stage + 1)
        ]

    @cached_property
    def planned_rounds(self) -> int:
        """Number of rounds of the run."""
        from flwr_gan.app.strategy import build_strategy, num_rounds

        return num_rounds(self.config, build_strategy(self))

    def planned_critic_steps(self, *, ticket: bool) -> int:
        """Return the maximum number of a client's critic steps in the whole run.

        With `ticket`, it searches for a ticket in each round, with one training per pruning.
        """
        steps = self.iterations(ticket=ticket) * self.config.gan.critic_iterations
        return self.planned_rounds * steps

    def iterations(self, *, ticket: bool, client: int = 0) -> int:
        """Return the number of a client's training iterations in a round."""
        gan, lottery = self.config.gan, self.config.lottery
        trainings = lottery.iterations + lottery.train_final
        return trainings * gan.iterations if ticket else gan.local_iterations

    def initial(self) -> nn.Module:
        """Return the network that is sent, with the weights of the first broadcast."""
        return self.delivered()

    def client(self, context: Context) -> NumPyClient:
        """Return the client for a node's context."""
        from flwr_gan.app.continual import ContinualClient

        return ContinualClient(self, context)

    def scorer(self, inner: Any) -> "Scorer | ClassifierScorer":
        """Return the scorer for the rounds of a strategy."""
        from flwr_gan.app.scoring import Scorer

        return Scorer(self, inner)

    def delivered(self) -> SampleGenerator:
        """Return a generator of the form that clients upload, with arbitrary weights.

        Raises ``ConfigError`` when the method's settings do not fit the generator, or its form is
        not known in advance.
        """
        generator, _ = self.networks(self.config.seed)
        return generator if self.method is None else self.method.student(generator)

    def generate(
        self, arrays: Mapping[str, NDArray[Any]], labels_N: NDArray[np.int64], seed: int
    ) -> NDArray[np.float32]:
        """Return samples ``x_NTC`` of an upload with these weights, one per label."""
        generator = self.delivered()
        load_network_arrays(generator, arrays)
        with torch_threads(self.config.federation.threads):
            return sample(generator, labels_N, rng=torch.Generator().manual_seed(seed))


def federation_from(context: Context) -> Federation:
    """Return the federation for a Flower context, with the node's own data if it has any.

    See ``settings_of`` and ``own_data``.
    """
    return federation_of(settings_of(context), own_data(context.node_config))


@lru_cache(maxsize=2)
def load_federation(overrides: str, *, default_output: str | None = None) -> Federation:
    """Compose a config from overrides and return its federation; see ``federation_of``."""
    config = load_config(split_overrides(overrides), default_output=default_output)
    return federation_of(config.to_yaml())


@lru_cache(maxsize=2)
def federation_of(resolved: str, own: tuple[tuple[str, Any], ...] = ()) -> Federation:
    """Load the data and the split of a config, given as YAML with nothing left to resolve.

    `own` are the settings of ``data`` from a node's config: these data are not split.

    The last ones are cached, for many clients in a process. Raises ``ConfigError``, ``DataError``
    or ``PartitionError`` when a setting, the data or the split is not usable.
    """
    config = read_config(resolved)
    _check_device(config.federation.device)
    node = OmegaConf.merge(config.data, dict(own))
    dataset = _dataset(OmegaConf.to_yaml(node), os.getcwd(), *map(os.environ.get, DATA_VARIABLES))
    kind = Federation
    if config.classifier is None:
        check_form(config.gan, **_form(dataset))
    else:
        from flwr_gan.app.classifier.federation import ClassifierFederation

        kind = ClassifierFederation
    splitter = build(config.partition)
    split: Sequence[NDArray[np.int64]] = ()
    if not own and len(dataset.train):
        alone, clients = config.federation.share
        split = splitter(
            dataset.train, num_clients=clients, seed=derive_seed(config.seed, "partition")
        )
        split = split if alone is None else [split[alone]]
    federation = kind(config, dataset, split)
    _check_privacy(federation)
    return federation


@lru_cache(maxsize=1)
def _dataset(node: str, *places: str | None) -> Dataset:
    """Return a data set by its settings as YAML, searched in these places.

    The last one is cached for the next run of a sweep.
    """
    return cast(Dataset, build(cast(DictConfig, OmegaConf.create(node))))


def _form(data: Dataset) -> dict[str, int]:
    """Return the sizes of a sample by the parameter names of the networks."""
    names = ("num_vectors", "num_components", "num_channels")
    return {name: getattr(data, name) for name in names}


def _check_privacy(federation: Federation) -> None:
    """Raise unless delta is below one over each known client's samples, and noise keeps epsilon.

    The client with the fewest samples needs most noise.
    """
    privacy, sizes = federation.config.privacy, federation.sizes
    if privacy is None or not sizes:
        return
    largest = max(sizes)
    if privacy.delta * largest >= 1:
        raise ConfigError(
            f"privacy.delta={privacy.delta} would let a sample of a client with {largest} "
            f"through: give less than {1 / largest:.2g}"
        )
    if privacy.target_epsilon is not None:
        _ = ClientPrivacy(
            privacy,
            federation.config.gan,
            num_samples=max(1, min(sizes)),
            planned_steps=min(federation.planned_critic_steps(ticket=t) for t in (False, True)),
        ).noise_multiplier


def _check_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        cuda = f"cuda:0 to cuda:{torch.cuda.device_count() - 1}"
        allowed = f"cpu, {cuda}" if torch.cuda.is_available() else "cpu"
        raise ConfigError(f"federation.device={name}: allowed here is {allowed}") from error
