"""The client: trains a WGAN-GP on its own samples; it sees only plain arrays."""

import secrets
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from flwr.app import Context
from flwr.client import NumPyClient
from flwr.common import NDArrays, Scalar
from numpy.typing import NDArray
from torch import nn

from flwr_gan.app import together
from flwr_gan.app.federation import Federation, federation_from
from flwr_gan.app.measuring import measuring_threads
from flwr_gan.app.nodes import partition_of
from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.data import Samples
from flwr_gan.flower.records import arrays_to_record, record_to_arrays
from flwr_gan.gan import (
    WganGpTrainer,
    load_network_arrays,
    network_arrays,
    torch_threads,
)
from flwr_gan.gan.batched import Training
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods import TrainedGan
from flwr_gan.metrics import SampleJudge
from flwr_gan.privacy import ClientPrivacy
from flwr_gan.prune import find_ticket
from flwr_gan.prune.magnitude import kept_weights
from flwr_gan.seeding import derive_seed

Config = Mapping[str, Scalar]

STATE = "flwr_gan.trainer"  # critic and optimisers, between rounds
SPENT = "flwr_gan.privacy"  # privacy spent and released in all rounds
ROUND = "round"  # of their last training

MOST_JUDGES = 100
"""Number of clients' judges that a process keeps."""


class GanClient(NumPyClient):
    """Train a conditional WGAN-GP on the samples of one partition.

    Critic and optimisers stay on the client, in ``context.state``; only the generator is sent.

    The server's config may contain: ``round`` (int), ``task`` (``"train"`` or ``"ticket"``),
    ``masked`` (zeros of the broadcast are pruned weights), ``restart_from`` (round in which critic
    and optimisers are reset) and ``proximal_mu``.
    """

    def __init__(self, federation: Federation, context: Context) -> None:
        self._federation = federation
        self._config = federation.config
        self._partition = partition_of(context.node_config)
        self._labelled, self._held_out = federation.shares_of(self._partition)
        self._train = federation.as_trained(self._labelled)
        self._state = context.state.array_records

    def get_parameters(self, config: Config) -> NDArrays:
        """Return the initial weights of the run's generator."""
        generator, _ = self._federation.networks(self._config.seed)
        return list(network_arrays(generator).values())

    def fit(self, parameters: NDArrays, config: Config) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Train the broadcast generator, or find a ticket; return weights and sample count.

        With privacy, the spending so far is also reported.
        """
        server_round = int(config.get("round", 1))
        ticket = config.get("task") == "ticket"
        privacy = self._opened_privacy(ticket=ticket)
        with torch_threads(self._config.federation.threads):
            if ticket:
                arrays = self._find_ticket(server_round, privacy)
            else:
                arrays = self._train_round(parameters, config, server_round, privacy)
        if privacy is None:
            return arrays, len(self._train), {}
        self._remember(SPENT, privacy.state_dict())
        return arrays, len(self._train), dict(privacy.report())

    def evaluate(
        self, parameters: NDArrays, config: Config
    ) -> tuple[float, int, dict[str, Scalar]]:
        """Score the broadcast generator against this client's held-out samples.

        The loss is the Frechet distance in the features of a classifier trained on this client's
        training samples.
        """
        server_round = int(config.get("round", 1))
        seed = self._seed("evaluate", server_round)
        held = np.unique(self._train.y_N)  # one class if the generator is unconditional
        labels_N = np.repeat(held, self._config.samples_per_class)
        generator, _ = self._federation.networks(self._config.seed)
        with measuring_threads(self._config.federation.threads):
            x_NTC = self._federation.generate(_named(generator, parameters), labels_N, seed)
            asked_N = labels_N if self._config.gan.conditional else None
            scores = self._judge().score(x_NTC, asked_N, seed=seed)
        return scores["frechet_distance"], len(self._held_out), dict(scores)

    def _judge(self) -> SampleJudge:
        """Return this client's judge of samples, the same in all rounds of a process."""
        judges = self._federation.judges
        judge = judges.get(self._partition)
        if judge is None:
            judge = SampleJudge(
                self._labelled,
                self._held_out,
                num_classes=self._federation.dataset.num_classes,
                seed=self._seed("judge", 0),
            )
            if len(judges) >= MOST_JUDGES:
                judges.clear()
            judges[self._partition] = judge
        return judge

    def _train_round(
        self,
        parameters: NDArrays,
        config: Config,
        server_round: int,
        privacy: ClientPrivacy | None,
    ) -> NDArrays:
        """Train the broadcast generator for one round, with the kept critic and optimisers."""
        generator, critic = self._federation.networks(self._config.seed)
        arrays = _named(generator, parameters)
        load_network_arrays(generator, arrays)
        trainer = self._trainer(generator, critic, privacy)
        mask = kept_weights(arrays) if config.get("masked") else None
        self._go_on(trainer, self._train, config, server_round, mask=mask, anchor=arrays)
        return list(network_arrays(generator).values())

    def _go_on(
        self,
        trainer: WganGpTrainer,
        samples: Samples,
        config: Config,
        server_round: int,
        **settings: Any,
    ) -> None:
        """Train for one round with the kept critic and optimisers, and keep them again."""
        remembered = self._remembered(STATE)
        if remembered is not None and remembered[ROUND] >= int(config.get("restart_from", 0)):
            trainer.load_state_dict(remembered["trainer"])
        settings["proximal_mu"] = float(config.get("proximal_mu", 0.0))
        rng = self._rng("train", server_round)
        training = new_training(trainer, samples, rng, **settings)
        together.train(
            training,
            iterations=self._config.gan.local_iterations,
            progress=f"round {server_round}, client {self._partition}",
        )
        self._remember(STATE, {ROUND: server_round, "trainer": trainer.state_dict()})

    def _remember(self, what: str, tree: Mapping[str, Any]) -> None:
        """Keep a tree in the node's state for later rounds."""
        self._state[what] = arrays_to_record(flatten(tree))

    def _remembered(self, what: str) -> dict[str, Any] | None:
        """Return the tree kept last under this name, None if there is none."""
        return unflatten(record_to_arrays(self._state[what])) if what in self._state else None

    def _find_ticket(self, server_round: int, privacy: ClientPrivacy | None) -> NDArrays:
        """Run Alg. 2 of paper 000, then the method; return the generator and class counts."""
        generator, critic = self._federation.networks(self._seed("networks", 0))
        trainer = self._trainer(generator, critic, privacy)
        initial = network_arrays(generator)
        rng = self._rng("train", server_round)

        def train(
            level: int, weights: dict[str, NDArray[np.float32]], mask: dict[str, NDArray[np.bool_]]
        ) -> dict[str, NDArray[np.float32]]:
            load_network_arrays(generator, weights)
            trainer.restart()
            label = f"client {self._partition}, pruning {level}"
            together.train(new_training(trainer, self._train, rng, mask=mask), progress=label)
            return network_arrays(generator)

        *_, ticket = find_ticket(initial, train, config=self._config.lottery)
        load_network_arrays(generator, ticket.weights)
        delivered = self._compressed(generator, critic, rng)
        counts = self._class_counts(privacy).astype(np.int32)
        return [*network_arrays(delivered).values(), counts]

    def _compressed(
        self, generator: SampleGenerator, critic: nn.Module, rng: torch.Generator
    ) -> SampleGenerator:
        """Return the trained generator, after the configured method if there is one."""
        method = self._federation.method
        if method is None:
            return generator
        config = self._config.gan
        return method.compress(
            TrainedGan(
                generator=generator,
                critic=critic,
                x_NTC=self._train.x_NTC,
                y_N=self._train.y_N,
                config=config,
            ),
            iterations=self._config.method_iterations or config.iterations,
            rng=rng,
            progress=f"client {self._partition}, method",
        )

    def _trainer(
        self,
        generator: SampleGenerator,
        critic: nn.Module,
        privacy: ClientPrivacy | None,
        **settings: Any,
    ) -> WganGpTrainer:
        device = self._config.federation.device
        if privacy is None:
            config = self._config.gan
            return WganGpTrainer(generator, critic, config=config, device=device, **settings)
        counts_K = self._class_counts(privacy)
        return privacy.trainer(generator, critic, counts_K=counts_K, device=device)

    def _opened_privacy(self, *, ticket: bool) -> ClientPrivacy | None:
        """Return the privacy spent and released so far, if training is private."""
        if self._config.privacy is None:
            return None
        privacy = ClientPrivacy(
            self._config.privacy,
            self._config.gan,
            num_samples=len(self._train),
            planned_steps=self._federation.planned_critic_steps(ticket=ticket),
        )
        spent = self._remembered(SPENT)
        if spent is not None:
            privacy.load_state_dict(spent)
        return privacy

    def _class_counts(self, privacy: ClientPrivacy | None) -> NDArray[np.int64]:
        """Return the number of samples per class, with noise if training is private."""
        num_classes, y_N = self._federation.num_classes, self._train.y_N
        if privacy is None:
            return np.bincount(y_N, minlength=num_classes)
        return privacy.class_counts(y_N, num_classes=num_classes, rng=self._rng("counts", 0))

    def _rng(self, purpose: str, server_round: int) -> torch.Generator:
        """Return a training's random generator; its seed is secret if privacy requires it."""
        privacy = self._config.privacy
        secret = privacy is not None and privacy.secret
        seed = secrets.randbits(63) if secret else self._seed(purpose, server_round)
        return torch.Generator().manual_seed(seed)

    def _seed(self, purpose: str, server_round: int) -> int:
        return derive_seed(
            self._config.seed, purpose, round=server_round, partition=self._partition
        )


def new_training(
    trainer: WganGpTrainer, samples: Samples, rng: torch.Generator, **settings: Any
) -> Training:
    """Return a training on some samples; the other settings are those of ``Training``."""
    return Training(trainer=trainer, x_NTC=samples.x_NTC, y_N=samples.y_N, rng=rng, **settings)


def _named(generator: SampleGenerator, parameters: NDArrays) -> dict[str, NDArray[Any]]:
    return dict(zip(network_arrays(generator), parameters, strict=True))


def initial_arrays(context: Context) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of the run's first broadcast, computed from its seed as on the server."""
    network = federation_from(context).initial()
    return {str(at): array for at, array in enumerate(network_arrays(network).values())}
