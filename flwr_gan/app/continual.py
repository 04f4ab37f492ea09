"""A client whose data may drift and whose generator may prune and regenerate in training.

N samples, K classes, T vectors, C components.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.common import NDArrays, Scalar
from numpy.typing import NDArray
from torch import nn

from flwr_gan.app import together
from flwr_gan.app.client import Config, GanClient, new_training
from flwr_gan.core.settings import Amount, Count, Settings
from flwr_gan.data import Samples
from flwr_gan.errors import DataError
from flwr_gan.gan import WganGpTrainer, load_network_arrays, torch_threads
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import network_arrays
from flwr_gan.metrics import frechet_distance
from flwr_gan.privacy import ClientPrivacy
from flwr_gan.prune.regeneration import RegeneratingGenerator

Arrays = dict[str, NDArray[np.float32]]

CONTINUAL = "flwr_gan.continual"  # the client's memory between rounds
FIXED_SAMPLES = 128  # on which a change is measured
CHECKED_SAMPLES = 500  # on which a client checks its own quality
NEVER = -(1 << 30)


def replay_labels(counts_K: NDArray[np.int64], *, num_real: int, share: float) -> NDArray[np.int64]:
    """Return the labels to replay (Shin et al., 2017), ascending: a share of all samples.

    Their proportions are those of `counts_K`, the client's samples of each class so far. `share` is
    the share of replayed samples among all training samples (0 to below 1), of which `num_real` are
    real; the number is rounded. Without earlier samples there are none.
    """
    total = int(counts_K.sum())
    number = round(num_real * share / (1 - share)) if total else 0
    exact_K = counts_K * (number / max(total, 1))
    each_K = np.floor(exact_K).astype(np.int64)
    largest = np.argsort(-(exact_K - each_K), kind="stable")[: number - int(each_K.sum())]
    each_K[largest] += 1
    return np.repeat(np.arange(len(counts_K)), each_K)


def with_replay(real: Samples, x_NTC: NDArray[np.float32], y_N: NDArray[np.int64]) -> Samples:
    """Return real and replayed samples together, without writers."""
    return Samples(np.concatenate([real.x_NTC, x_NTC]), np.concatenate([real.y_N, y_N]))


@dataclass(frozen=True, kw_only=True)
class UploadRule(Settings):
    """Upload when samples have changed by `threshold`, and at least `every` so many rounds.

    With a threshold of 0 every round ends with an upload.
    """

    group = "strategy"

    threshold: Amount
    every: Count

    def is_due(self, distance: float, *, rounds: int) -> bool:
        """Return whether to upload, given the rounds since the last upload.

        A distance of NaN counts as a change.
        """
        return not distance < self.threshold or rounds >= self.every


def sample_distance(a_NTC: NDArray[np.float32], b_NTC: NDArray[np.float32]) -> float:
    """Return the root mean square difference of samples for the same latents and labels."""
    difference = a_NTC.astype(np.float64) - b_NTC.astype(np.float64)
    return float(np.sqrt(np.mean(np.square(difference))))


@dataclass
class Memory:
    """A client's memory between rounds, besides critic and optimisers."""

    stage: int  # of its last training, -1 before the first
    uploaded: int  # round of its last upload
    seen_K: NDArray[np.int64]  # its samples of each class, in all stages
    before_K: NDArray[np.int64]  # the same before the current stage
    teacher: Arrays = field(default_factory=dict)  # its generator at the start of the stage
    pending: Arrays = field(default_factory=dict)  # changes since its last upload
    masks: dict[str, Any] = field(default_factory=dict)  # trained ones, with pruned values


class ContinualClient(GanClient):
    """Train on the schedule's samples of each round; see ``conf/drift``, ``conf/regeneration``.

    Without both, and with a strategy without upload rule, it acts as a ``GanClient``.

    Besides the keys of ``GanClient``, the server's config may contain ``threshold`` and ``every``
    (see ``UploadRule``; without them every round ends with an upload) and ``replay``.
    """

    def fit(self, parameters: NDArrays, config: Config) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Train for a round and return the weights, or an empty reply if nothing changed."""
        settings = self._config
        adapts = settings.drift is not None or settings.regeneration is not None
        if config.get("task") == "ticket" or not (adapts or "threshold" in config):
            return super().fit(parameters, config)
        server_round = int(config.get("round", 1))
        memory = self._memory()
        stage = self._federation.stage(server_round)
        real = self._federation.samples_in(stage, self._train, self._partition)
        if not len(real):
            if "threshold" not in config:
                raise DataError(
                    f"client {self._partition} has no samples in round {server_round}: choose "
                    "strategy=continual, where it may be silent, or another partition"
                )
            return [], 0, {"unchanged": True}
        with torch_threads(self._config.federation.threads):
            broadcast, arrays = self._adapt(parameters, config, server_round, real, memory)
            moved = self._moved(broadcast, arrays, memory) if "threshold" in config else np.nan
        silent = "threshold" in config and not UploadRule(
            threshold=float(config["threshold"]), every=int(config["every"])
        ).is_due(moved, rounds=server_round - memory.uploaded)
        memory.pending = {}
        if silent:
            memory.pending = {name: arrays[name] - sent for name, sent in broadcast.items()}
        else:
            memory.uploaded = server_round
        self._remember(CONTINUAL, vars(memory))
        if silent:
            return [], len(real), {"unchanged": True, "moved": moved}
        metrics: dict[str, Scalar] = {}
        if "threshold" in config:
            classes = ",".join(map(str, np.flatnonzero(memory.seen_K)))
            metrics = {"classes": classes, "moved": moved}
        return list(arrays.values()), len(real), metrics

    def _adapt(
        self,
        parameters: NDArrays,
        config: Config,
        server_round: int,
        real: Samples,
        memory: Memory,
    ) -> tuple[Arrays, Arrays]:
        """Train on real and replayed samples; return the broadcast and the new weights."""
        generator, critic = self._federation.networks(self._config.seed)
        names = list(network_arrays(generator))
        broadcast: Arrays = dict(zip(names, parameters, strict=True))
        masks = self._masked(generator, critic)
        if masks is not None and memory.masks:
            masks.load_state_dict(memory.masks)
        start = _with_pending(broadcast, memory.pending, sparse=masks is not None)
        if masks is None:
            load_network_arrays(generator, start)
        else:
            masks.receive(start)
        begin_stage(
            memory,
            self._federation.stage(server_round),
            teacher=_weights(generator, masks),
            counts_K=np.bincount(real.y_N, minlength=len(memory.seen_K)),
        )
        data = self._with_replay(real, memory, float(config.get("replay", 0.0)), server_round)
        trainer = self._regularised(generator, critic, masks)
        self._go_on(trainer, data, config, server_round)
        arrays = _weights(generator, masks)
        if masks is not None:
            masks.check(self._quality(arrays, data, server_round))
            memory.masks = masks.state_dict()
        return broadcast, arrays

    def _find_ticket(self, server_round: int, privacy: ClientPrivacy | None) -> NDArrays:
        """Prune and regenerate for as many updates as all of iterative pruning.

        The last generator of a sparse phase is the ticket; there is none if all phases were dense.
        """
        config, lottery = self._config, self._config.lottery
        if config.regeneration is None:
            return super()._find_ticket(server_round, privacy)
        generator, critic = self._federation.networks(self._seed("networks", 0))
        masks = self._masked(generator, critic)
        assert masks is not None
        trainer = self._regularised(generator, critic, masks)
        training = new_training(trainer, self._train, self._rng("train", server_round))
        total = (lottery.iterations + lottery.train_final) * config.gan.iterations
        ticket = masks.arrays()
        for done in range(0, total, config.gan.local_iterations):
            updates = min(config.gan.local_iterations, total - done)
            label = f"client {self._partition}, update {done}"
            together.train(training, iterations=updates, progress=label)
            arrays = masks.arrays()
            if not masks.dense:
                ticket = arrays
            masks.check(self._quality(arrays, self._train, server_round))
        return [*ticket.values(), self._class_counts(privacy).astype(np.int32)]

    def _memory(self) -> Memory:
        remembered = self._remembered(CONTINUAL)
        if remembered is None:  # it has not trained yet
            zeros_K = np.zeros(self._federation.num_classes, np.int64)
            return Memory(stage=-1, uploaded=NEVER, seen_K=zeros_K, before_K=zeros_K)
        return Memory(**remembered)

    def _masked(
        self, generator: SampleGenerator, critic: nn.Module
    ) -> RegeneratingGenerator | None:
        settings = self._config.regeneration
        return None if settings is None else RegeneratingGenerator(generator, settings, critic)

    def _regularised(
        self, generator: SampleGenerator, critic: nn.Module, masks: RegeneratingGenerator | None
    ) -> WganGpTrainer:
        settings = {}
        if masks is not None:
            settings = {
                "generator_regulariser": masks.penalty,
                "critic_regulariser": masks.critic_penalty,
            }
        return self._trainer(generator, critic, None, **settings)

    def _with_replay(
        self, real: Samples, memory: Memory, share: float, server_round: int
    ) -> Samples:
        """Return real samples and, from the second stage on, samples of the earlier generator."""
        if not memory.teacher:
            return real
        labels_N = replay_labels(memory.before_K, num_real=len(real), share=share)
        if not len(labels_N):
            return real
        seed = self._seed("replay", server_round)
        x_NTC = self._federation.generate(memory.teacher, labels_N, seed)
        return with_replay(real, x_NTC, labels_N)

    def _quality(self, arrays: Arrays, data: Samples, server_round: int) -> float:
        """Return the Frechet distance of generated to training samples, in the data space."""
        count = min(len(data), CHECKED_SAMPLES)
        rows = np.linspace(0, len(data) - 1, count).astype(np.int64)
        drawn = self._federation.generate(
            arrays, data.y_N[rows], self._seed("quality", server_round)
        )
        return frechet_distance(data.x_NTC[rows].reshape(count, -1), drawn.reshape(count, -1))

    def _moved(self, broadcast: Arrays, arrays: Arrays, memory: Memory) -> float:
        """Return the change of samples for fixed latents and labels."""
        labels_N = np.resize(np.flatnonzero(memory.seen_K), FIXED_SAMPLES)
        seed = self._seed("fixed latents", 0)
        before, after = (
            self._federation.generate(weights, labels_N, seed) for weights in (broadcast, arrays)
        )
        return sample_distance(after, before)


def begin_stage(
    memory: Memory, stage: int, *, teacher: Arrays, counts_K: NDArray[np.int64]
) -> None:
    """Count the samples of a new stage and keep the earlier generator; once per stage."""
    if stage == memory.stage:
        return
    if memory.stage >= 0:
        memory.teacher = teacher
    memory.before_K = memory.seen_K
    memory.seen_K = memory.seen_K + counts_K
    memory.stage = stage


def _with_pending(broadcast: Arrays, pending: Arrays, *, sparse: bool) -> Arrays:
    """Return the broadcast plus the client's changes that were not uploaded.

    With trained masks only where the broadcast keeps a weight; elsewhere the client has its own.
    """
    if not pending:
        return broadcast
    return {
        name: np.where(array != 0, array + pending[name], 0) if sparse else array + pending[name]
        for name, array in broadcast.items()
    }


def _weights(generator: SampleGenerator, masks: RegeneratingGenerator | None) -> Arrays:
    return network_arrays(generator) if masks is None else masks.arrays()
