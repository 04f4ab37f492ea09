"""Distillation of a generator: a student learns to give what its teacher gives.

B batch, N labels, L latent, T vectors, C components, I iterations.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import trange

from flwr_gan.errors import ConfigError, DataError, TrainingError
from flwr_gan.gan.adam_state import new_adam
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.sampling import check_labels
from flwr_gan.gan.weights import as_tensor
from flwr_gan.methods.distillation_losses import TERMS, Outputs
from flwr_gan.methods.distillation_maps import new_mappings, with_maps
from flwr_gan.methods.settings import require, require_amount, require_count

BETAS = (0.9, 0.999)
CHECK_EVERY = 25  # a loss is looked at once in a while, so that a device is not waited for


@dataclass(frozen=True, eq=False)
class DistillationLog:
    """Losses of a distillation.

    Parameters
    ----------
    total_I : ndarray of float32
        The weighted sum before each update.
    terms : mapping from str to ndarray of float32, shape (I,)
        Each term by its name, before it is weighted.
    """

    total_I: NDArray[np.float32]
    terms: Mapping[str, NDArray[np.float32]]


def distil(
    student: SampleGenerator,
    *,
    teacher: SampleGenerator,
    critic: nn.Module | None = None,
    labels_N: NDArray[np.int64],
    losses: Mapping[str, float],
    iterations: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    rng: torch.Generator,
    real_NTC: NDArray[np.float32] | None = None,
    progress: str | None = None,
) -> DistillationLog:
    """Train a student in place, with Adam, to give what the teacher gives for the same latents.

    Parameters
    ----------
    student : SampleGenerator
        Trained in place, on the device that it is on; its weights may be parametrised.
    teacher : SampleGenerator
        On the same device; not changed.
    critic : nn.Module, optional
        The teacher's, with a method ``features``, for the terms that look through it; on the same
        device, not changed.
    labels_N : ndarray of int64
        Batches take their labels from here, with replacement.
    losses : mapping from str to float
        Weight of each term; see ``distillation_losses.TERMS``. Those of weight 0 are left out.
    iterations : int
        Updates of the student; 0 trains nothing.
    batch_size : int
        B.
    learning_rate : float
        Adam's, for the student and for the mappings of the term ``features``.
    rng : torch.Generator
        Source of all that is drawn; advances.
    real_NTC : ndarray of float32, optional
        Real samples, those that ``labels_N`` belong to; only the term ``triplet`` looks at them.
    progress : str or None
        Label of a progress bar, drawn only on a terminal; None draws none.

    Raises
    ------
    ConfigError
        If a term is unknown or lacks what it needs, a setting is out of range, or the generators
        do not go together.
    DataError
        If there are no labels, or labels and real samples do not fit the generators.
    TrainingError
        If a loss or a weight is not finite.
    """
    weights = used_terms(losses)
    require_rate("learning_rate", learning_rate)
    require_count("batch_size", batch_size)
    require_count("iterations", iterations, least=0)
    _check_pair(student, teacher)
    _check_needs(weights, critic, real_NTC)
    real_NTC = real_NTC if any(TERMS[name].needs_real for name in weights) else None
    device = next(student.parameters()).device
    y_N, x_NTC = _check_samples(labels_N, real_NTC, student, device)
    critic = critic if any(TERMS[name].needs_critic for name in weights) else None
    mappings = nn.ModuleList()
    if any(TERMS[name].needs_maps for name in weights):
        mappings = new_mappings(student, teacher, rng)
    trained = nn.ModuleList([student, mappings])
    adam = new_adam(trained, lr=learning_rate, betas=BETAS)
    parameters = list(trained.parameters())
    history: list[Tensor] = []
    steps = trange(iterations, desc=progress, disable=None if progress else True, leave=False)
    with steps:
        for step in steps:
            index_B = torch.randint(len(y_N), (batch_size,), generator=rng, device=rng.device)
            index_B = index_B.to(device)
            size = (batch_size, student.latent_dim)
            z_BL = torch.randn(size, generator=rng, device=rng.device).to(device)
            out = _outputs(
                student,
                teacher,
                critic,
                z_BL,
                y_N[index_B],
                None if x_NTC is None else x_NTC[index_B],
                mappings,
            )
            terms = torch.stack([TERMS[name].loss(out) for name in weights])
            total = (terms * terms.new_tensor(list(weights.values()))).sum()
            update(adam, parameters, total)
            history.append(torch.cat([total.detach()[None], terms.detach()]))
            if (step + 1) % CHECK_EVERY == 0:
                _check_losses(history[-CHECK_EVERY:], step + 1)
    adam.zero_grad(set_to_none=True)
    _check_losses(history[-CHECK_EVERY:], iterations)
    _check_weights(student, iterations)
    columns = torch.stack(history).cpu().numpy().T if history else np.zeros((1 + len(weights), 0))
    total_I, *rows = columns.astype(np.float32)
    return DistillationLog(total_I, dict(zip(weights, rows, strict=True)))


def used_terms(losses: Mapping[str, float]) -> dict[str, float]:
    """Return the terms whose weight is not 0, in the order of ``TERMS``.

    Raises
    ------
    ConfigError
        If a term is unknown, a weight is not a number from 0 up, or all are 0.
    """
    for name, weight in losses.items():
        if name not in TERMS:
            near = difflib.get_close_matches(str(name), TERMS, n=1, cutoff=0.5)
            nearest = f" (nearest: {near[0]})" if near else ""
            raise ConfigError(
                f"method.losses.{name} is unknown: allowed are {', '.join(TERMS)}{nearest}"
            )
        require_amount(f"losses.{name}", weight)
    used = {name: float(losses[name]) for name in TERMS if losses.get(name)}
    if not used:
        raise ConfigError(
            f"method.losses={dict(losses)} is not allowed: give at least one of "
            f"{', '.join(TERMS)} a weight above 0"
        )
    return used


def require_rate(key: str, value: Any) -> None:
    """Raise a ConfigError unless the setting is a number above 0, at most 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    require(key, value, number and 0 < value <= 1, "a number above 0, at most 1")


def update(adam: torch.optim.Adam, weights: Sequence[Tensor], loss: Tensor) -> None:
    """Take one step of Adam; weights that the loss does not depend on get a gradient of zero."""
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        # fused Adam reads memory in order
        weight.grad = torch.zeros_like(weight) if gradient is None else gradient.contiguous()
    adam.step()


def _outputs(
    student: SampleGenerator,
    teacher: SampleGenerator,
    critic: nn.Module | None,
    z_BL: Tensor,
    y_B: Tensor,
    real_BTC: Tensor | None,
    mappings: nn.ModuleList,
) -> Outputs:
    """Run both generators, and the critic where there is one, on one batch."""
    with torch.no_grad():
        teacher_BTC, teacher_maps = with_maps(teacher, z_BL, y_B, bool(mappings))
    student_BTC, student_maps = with_maps(student, z_BL, y_B, bool(mappings))
    student_critic: Sequence[Tensor] = ()
    teacher_critic: Sequence[Tensor] = ()
    real_critic: Sequence[Tensor] = ()
    if critic is not None:
        student_critic = critic.features(student_BTC, y_B)  # type: ignore[operator]
        with torch.no_grad():
            teacher_critic = critic.features(teacher_BTC, y_B)  # type: ignore[operator]
            if real_BTC is not None:
                real_critic = critic.features(real_BTC, y_B)  # type: ignore[operator]
    return Outputs(
        student_BTC=student_BTC,
        teacher_BTC=teacher_BTC,
        student_critic=student_critic,
        teacher_critic=teacher_critic,
        real_critic=real_critic,
        student_BSN=student_maps,
        teacher_BHN=teacher_maps,
        mappings=list(mappings),
    )


def _check_pair(student: SampleGenerator, teacher: SampleGenerator) -> None:
    for name in ("num_vectors", "num_components", "num_classes", "latent_dim"):
        mine, other = getattr(student, name), getattr(teacher, name)
        if mine != other:
            raise ConfigError(
                f"the student's {name} is {mine} and the teacher's {other}: they must be equal"
            )


def _check_needs(
    weights: Mapping[str, float], critic: nn.Module | None, real_NTC: NDArray[np.float32] | None
) -> None:
    for name in weights:
        if TERMS[name].needs_critic and not hasattr(critic, "features"):
            raise ConfigError(
                f"method.losses.{name} needs the teacher's critic, with a method features: give "
                "one, or weight 0"
            )
        if TERMS[name].needs_real and real_NTC is None:
            raise ConfigError(
                f"method.losses.{name} needs real samples: give real_NTC, or weight 0"
            )


def _check_samples(
    labels_N: NDArray[np.int64],
    real_NTC: NDArray[np.float32] | None,
    student: SampleGenerator,
    device: torch.device,
) -> tuple[Tensor, Tensor | None]:
    if labels_N.ndim != 1 or not len(labels_N):
        raise DataError(f"labels have shape {labels_N.shape}: (N,) with N of at least 1 is needed")
    y_N = as_tensor(labels_N.astype(np.int64))
    check_labels(y_N, student.num_classes)
    if real_NTC is None:
        return y_N.to(device), None
    shape = (len(labels_N), student.num_vectors, student.num_components)
    if real_NTC.shape != shape:
        raise DataError(f"real samples have shape {real_NTC.shape}: {shape} is needed")
    return y_N.to(device), as_tensor(real_NTC.astype(np.float32)).to(device)


def _check_losses(history: Sequence[Tensor], step: int) -> None:
    if history and not bool(torch.stack(list(history)).isfinite().all()):
        raise TrainingError(
            f"a loss of the distillation is not finite by iteration {step}: lower "
            "method.learning_rate or the weights of method.losses"
        )


def _check_weights(student: SampleGenerator, iterations: int) -> None:
    for name, weight in student.named_parameters():
        if not bool(weight.isfinite().all()):
            raise TrainingError(
                f"student weight {name} is not finite after {iterations} iterations of "
                "distillation: lower method.learning_rate"
            )
