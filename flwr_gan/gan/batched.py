"""Many small trainings in one program: stacked weights, batched matrix products.

J trainings, N samples of all of them, R critic iterations, P of them whose fakes are made
together, B batch, L latent, K classes, T vectors, C components, D = T * C, H channels.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from flwr_gan.core.settings import Count, checked
from flwr_gan.errors import ConfigError
from flwr_gan.gan.adam_state import MOMENTS, new_adam
from flwr_gan.gan.batches import check_data, draw_latent, draw_places, fakes_at_a_time
from flwr_gan.gan.critic_gradients import has_closed_form, stacked_gradients
from flwr_gan.gan.networks import NEGATIVE_SLOPE, SampleGenerator
from flwr_gan.gan.sampling import FrozenGenerator, is_plain
from flwr_gan.gan.sparse_layers import has_sparse_layers, sparse_layers
from flwr_gan.gan.trainer import WganGpTrainer, check_weights, take_step
from flwr_gan.gan.training_log import LOSSES, TrainLog, run_steps


@dataclass(frozen=True, kw_only=True)
class Training:
    """A single training; the settings are those of ``WganGpTrainer.train``.

    ``rng`` advances as in separate training.
    """

    trainer: WganGpTrainer
    x_NTC: NDArray[np.float32]
    y_N: NDArray[np.int64]
    rng: torch.Generator
    mask: Mapping[str, NDArray[np.bool_]] | None = None
    anchor: Mapping[str, NDArray[np.float32]] | None = None
    proximal_mu: float = 0.0

    def train_alone(
        self, *, iterations: int | None = None, progress: str | None = None
    ) -> TrainLog:
        """Do ``trainer.train`` with these settings."""
        return self.trainer.train(
            self.x_NTC,
            self.y_N,
            iterations=iterations,
            rng=self.rng,
            mask=self.mask,
            anchor=self.anchor,
            proximal_mu=self.proximal_mu,
            progress=progress,
        )


def alike(trainings: Sequence[Training]) -> bool:
    """Return whether ``train_together`` supports these trainings.

    They need the plain trainer with gradients in closed form, and equal shapes of networks, config,
    device and numbers of earlier steps.
    """
    kinds = {_kind(training) for training in trainings}
    return len(kinds) == 1 and None not in kinds


def train_together(
    trainings: Sequence[Training], *, iterations: int | None = None, progress: str | None = None
) -> list[TrainLog]:
    """Do each training's ``trainer.train`` in one program, equal up to rounding.

    The trainings are ``alike``, and none shares a network or an rng with another; arguments and
    errors are those of ``trainer.train``. After a TrainingError masks are applied, but otherwise
    all networks, optimisers and rngs are as before, so that each can be trained separately.
    """
    if not alike(trainings):
        raise ConfigError("trainings that are not alike cannot share a program: train each alone")
    config = trainings[0].trainer.config
    iterations = config.iterations if iterations is None else iterations
    checked("iterations", iterations, Count)
    together = _Together(trainings)
    before = [training.rng.get_state() for training in trainings]
    begun = time.perf_counter()
    try:
        with together.sparse_layers():
            found = run_steps(together.iterate, iterations, names=LOSSES, progress=progress)
        names = [name for name, _ in trainings[0].trainer.generator.named_parameters()]
        check_weights(zip(names, together.generator, strict=True), iterations)
    except Exception:
        for training, state in zip(trainings, before, strict=True):
            training.rng.set_state(state)
        raise
    together.exchange(into_stack=False)
    seconds = time.perf_counter() - begun
    return [TrainLog.of(losses, seconds) for losses in found.swapaxes(0, 1)]


class _Together:
    """The stacked networks, optimisers and data of alike trainings."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self._trainings = trainings
        trainers = [training.trainer for training in trainings]
        self._config = trainers[0].config
        self._shape = trainers[0].generator
        data = [check_data(t.x_NTC, t.y_N, t.trainer.generator) for t in trainings]
        self._real_ND = torch.cat([x for x, _ in data]).flatten(1)
        self._y_N = torch.cat([y for _, y in data])
        self._counts = [len(y) for _, y in data]
        starts = np.cumsum([0, *self._counts[:-1]])
        self._start_J11 = torch.tensor(starts, device=self._y_N.device).view(-1, 1, 1)
        self._onehot_KK = torch.eye(self._shape.num_classes, device=self._y_N.device)
        self._pruned = self._stack_masks()
        self._mu_J = torch.tensor([t.proximal_mu for t in trainings], device=self._y_N.device)
        self._anchors: list[Tensor] = []
        if any(t.proximal_mu for t in trainings):
            self._anchors = _stacked(t.trainer.anchors(t.anchor, t.mask) for t in trainings)
        self.generator = _trainable(trainer.generator for trainer in trainers)
        self._critic = _trainable(trainer.critic for trainer in trainers)
        rates = (self._config.generator_lr, self._config.critic_lr)
        self._adams = [
            new_adam(stacked, lr=lr, betas=self._config.betas)
            for stacked, lr in zip((self.generator, self._critic), rates, strict=True)
        ]
        self.exchange(into_stack=True)
        self._copies = [self._copy(j) for j in range(len(trainings))]

    @contextmanager
    def sparse_layers(self) -> Iterator[None]:
        """Compute with sparse layers inside the context, if masks are sparse enough."""
        with ExitStack() as stack:
            for j, copy in enumerate(self._copies if self._pruned else []):
                names = [name for name, _ in copy.named_parameters()]
                pruned = [of_all[j] for of_all in self._pruned or []]
                stack.enter_context(sparse_layers(copy, dict(zip(names, pruned, strict=True))))
            yield

    def iterate(self) -> Tensor:
        """Do one generator iteration of all trainings; return the losses, shape (J, 4)."""
        measures = []
        for real_JBD, fake_JBD, y_JB, mix_JB in self._batches():
            label_JBK = self._onehot_KK[y_JB]
            weights = [weight.detach() for weight in self._critic]
            found, gradients = stacked_gradients(
                weights, real_JBD, fake_JBD, label_JBK, mix_JB, self._config.penalty
            )
            measures.append(found)
            take_step(self._adams[1], self._critic, gradients)
        loss_J = self._generator_step(y_JB)
        return torch.cat([torch.stack(measures).mean(dim=0), loss_J.unsqueeze(1)], dim=1)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield the stacked batches that ``draw_batches`` draws for each training."""
        places = [
            draw_places(count, self._config, training.rng)
            for training, count in zip(self._trainings, self._counts, strict=True)
        ]
        index_JRB, mix_JRB = (
            torch.stack(of).to(self._y_N.device) for of in zip(*places, strict=True)
        )
        for index_JPB, mix_JPB in fakes_at_a_time(index_JRB + self._start_J11, mix_JRB):
            y_JPB, real_JPBD = self._y_N[index_JPB], self._real_ND[index_JPB]
            fake_JPBD = self._fakes(y_JPB.flatten(1)).view_as(real_JPBD)
            parts = (real_JPBD, fake_JPBD, y_JPB, mix_JPB)
            yield from zip(*(part.unbind(1) for part in parts), strict=True)

    def _fakes(self, y_JB: Tensor) -> Tensor:
        """Generate with each generator separately: with many samples, stacking gains nothing."""
        made = []
        for j, (training, y_B) in enumerate(zip(self._trainings, y_JB, strict=True)):
            z_BL = draw_latent(self._shape, len(y_B), training.rng)
            made.append(FrozenGenerator(self._copies[j])(z_BL, y_B))
        return torch.stack(made).flatten(2)

    def _copy(self, j: int) -> SampleGenerator:
        """Return a generator that shares the memory of one training's stacked weights."""
        generator = deepcopy(self._shape)
        for own, stacked in zip(generator.parameters(), self.generator, strict=True):
            own.data = stacked.data[j]
        return generator

    def _generator_step(self, y_JB: Tensor) -> Tensor:
        """Update all generators once; return their losses."""
        w1, b1, w2, b2, w3, b3 = (weight.detach() for weight in self._critic)
        latents = [draw_latent(self._shape, y_JB.shape[1], t.rng) for t in self._trainings]
        fake_JBD = self._generate(torch.stack(latents), y_JB)
        h = torch.cat([fake_JBD, self._onehot_KK[y_JB]], dim=2)
        for weight, bias in ((w1, b1), (w2, b2)):
            h = torch.baddbmm(bias.unsqueeze(1), h, weight.mT)
            h = functional.leaky_relu(h, NEGATIVE_SLOPE)
        score_JB1 = torch.baddbmm(b3.unsqueeze(1), h, w3.mT)
        loss_J = -score_JB1.mean((1, 2))
        for weight, anchor in zip(self.generator, self._anchors, strict=bool(self._anchors)):
            loss_J = loss_J + (weight - anchor).square().flatten(1).sum(1) * (self._mu_J / 2)
        gradients = list(torch.autograd.grad(loss_J.sum(), self.generator))
        take_step(self._adams[0], self.generator, gradients, self._pruned)
        return loss_J.detach()

    def _generate(self, z_JBL: Tensor, y_JB: Tensor) -> Tensor:
        """Generate ``x_JBD``; dense convolutions of all generators form one grouped one."""
        if any(has_sparse_layers(copy) for copy in self._copies):
            return self._generate_one_by_one(z_JBL, y_JB)
        fc, conv1, conv2 = self.generator
        J, B = y_JB.shape
        h = torch.bmm(torch.cat([z_JBL, self._onehot_KK[y_JB]], dim=2), fc.mT)
        h = functional.relu(h).transpose(0, 1).reshape(B, -1, self._shape.num_vectors)
        for convolution in (conv1, conv2):
            padding, last = convolution.shape[-1] // 2, convolution is conv2
            h = functional.conv1d(h, convolution.flatten(0, 1), padding=padding, groups=J)
            h = torch.tanh(h) if last else functional.relu(h)
        x_BJCT = h.view(B, J, -1, self._shape.num_vectors)
        return x_BJCT.permute(1, 0, 3, 2).flatten(2)

    def _generate_one_by_one(self, z_JBL: Tensor, y_JB: Tensor) -> Tensor:
        made = []
        for j, copy in enumerate(self._copies):
            names = [name for name, _ in copy.named_parameters()]
            weights = dict(zip(names, (of_all[j] for of_all in self.generator), strict=True))
            made.append(functional_call(copy, weights, (z_JBL[j], y_JB[j])))
        return torch.stack(made).flatten(2)

    def _stack_masks(self) -> list[Tensor] | None:
        if all(training.mask is None for training in self._trainings):
            return None
        pruned = []
        for training in self._trainings:
            if training.mask is None:
                weights = training.trainer.generator.parameters()
                pruned.append([torch.zeros_like(weight, dtype=torch.bool) for weight in weights])
            else:
                pruned.append(list(training.trainer.apply_mask(training.mask).values()))
        return _stacked(pruned)

    @torch.no_grad()
    def exchange(self, *, into_stack: bool) -> None:
        """Copy the trainers' weights and the state of their optimisers into the stacks, or back."""
        stacks = (self.generator, self._critic)
        for j, training in enumerate(self._trainings):
            for own, adam, stacked in zip(
                training.trainer.optimisers, self._adams, stacks, strict=True
            ):
                weights = own.param_groups[0]["params"]
                for weight, stack in zip(weights, stacked, strict=True):
                    of_one, of_all = own.state[weight], adam.state[stack]
                    pairs = [(of_one[m], of_all[m][j]) for m in MOMENTS]
                    pairs += [(of_one["step"], of_all["step"]), (weight, stack[j])]
                    for one, stacked_one in pairs:
                        if into_stack:
                            stacked_one.copy_(one)
                        else:
                            one.copy_(stacked_one)


def _stacked(of_each: Iterable[Iterable[Tensor]]) -> list[Tensor]:
    """Stack the first tensors of all trainings, the second, and so on."""
    return [torch.stack(of) for of in zip(*of_each, strict=True)]


def _trainable(networks: Iterable[nn.Module]) -> list[nn.Parameter]:
    stacks = _stacked(network.parameters() for network in networks)
    return [nn.Parameter(stack.detach()) for stack in stacks]


def _kind(training: Training) -> object:
    """Return the properties that must be equal in a joint program; None if not supported."""
    trainer = training.trainer
    plain = type(trainer) is WganGpTrainer and trainer.is_plain
    if not (plain and is_plain(trainer.generator) and has_closed_form(trainer.critic)):
        return None
    steps = [
        int(adam.state[weight]["step"])
        for adam in trainer.optimisers
        for weight in adam.param_groups[0]["params"]
    ]
    networks = (trainer.generator, trainer.critic)
    shapes = [tuple(weight.shape) for network in networks for weight in network.parameters()]
    device = next(trainer.generator.parameters()).device
    sizes = (trainer.generator.num_vectors, trainer.generator.num_components)
    return (trainer.config, device, sizes, tuple(steps), tuple(shapes))
