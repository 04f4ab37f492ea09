"""The loss terms of distillation (survey, Eq. 2-8).

The survey is Tantawy et al., 2021, "A survey on GAN acceleration using memory compression
techniques". B batch, T vectors, C components, N numbers of a channel, S channels of the student,
H of the teacher. Each function returns a 0-d tensor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

from flwr_gan.core.settings import Amount, checked, nearest, require
from flwr_gan.errors import ConfigError


@dataclass(frozen=True, eq=False, kw_only=True)
class Outputs:
    """The inputs of one step's terms; parts that no term needs may be empty."""

    student_BTC: Tensor  # samples of both for the same latent vectors and labels
    teacher_BTC: Tensor
    student_critic: Sequence[Tensor] = ()  # outputs of the critic's layers, last the scores (B,)
    teacher_critic: Sequence[Tensor] = ()
    student_BSN: Sequence[Tensor] = ()  # maps of the hidden layers
    teacher_BHN: Sequence[Tensor] = ()
    mappings: Sequence[nn.Module] = ()  # for each hidden layer a map of S channels to H


@dataclass(frozen=True, kw_only=True)
class Term:
    """One loss term and its required inputs."""

    loss: Callable[[Outputs], Tensor]
    needs_critic: bool = False
    needs_maps: bool = False
    needs_mappings: bool = False


def features_loss(
    student_BSN: Sequence[Tensor], teacher_BHN: Sequence[Tensor], mappings: Sequence[nn.Module]
) -> Tensor:
    """Return the mean squared differences of the hidden layers' maps, summed over layers (Eq. 6).

    The survey maps the teacher's layers to the student's size. Then all-zero mappings make the loss
    zero, so here the student's layers are mapped to the teacher's, which are fixed (Li et al.,
    2020, "GAN compression"). Means instead of sums keep wide layers from outweighing others.
    """
    losses = [
        F.mse_loss(mapping(student), teacher)
        for student, teacher, mapping in zip(student_BSN, teacher_BHN, mappings, strict=True)
    ]
    return torch.stack(losses).sum()


def alignment_loss(student_BSN: Sequence[Tensor], teacher_BHN: Sequence[Tensor]) -> Tensor:
    """Return 1 minus the kernel alignment of the hidden layers' maps, summed over layers.

    A layer is a matrix X with one row per number of each sample and one column per channel. The
    alignment of the kernels X X' and Y Y' of student and teacher is ``|X' Y|^2 / (|X' X| |Y' Y|)``
    with Frobenius norms, 1 for equal kernels and at least 0, so that channels need no mapping (Jin
    et al., 2021, "Teachers do more than teach", the survey's [33]).
    """

    def size(one_BSN: Tensor, other_BHN: Tensor) -> Tensor:
        squares: Tensor = torch.einsum("bsn,bhn->sh", one_BSN, other_BHN).square().sum()
        return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()

    losses = [
        1 - size(x, y).square() / (size(x, x) * size(y, y))
        for x, y in zip(student_BSN, teacher_BHN, strict=True)
    ]
    return torch.stack(losses).sum()


def perceptual_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of each hidden layer of the critic, summed (Eq. 8)."""
    return torch.stack([F.l1_loss(s, t) for s, t in zip(student, teacher, strict=True)]).sum()


def triplet_loss(
    anchor: Sequence[Tensor],
    positive: Sequence[Tensor],
    negative: Sequence[Tensor],
    *,
    margin: float = 1.0,
) -> Tensor:
    """Return the triplet loss of anchor, positive and negative (Chen et al., 2020).

    The mean over samples of ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``, where d
    is the mean absolute difference in a layer of the critic, summed over layers.

    For a student critic, the anchor is a real sample, the positive the teacher's and the negative
    the student's. A student generator has no triplet term: the survey's, with a real sample as
    negative, would reward it for moving away from the real data.
    """
    distance_B = _distance(anchor, positive) - _distance(anchor, negative)
    return F.relu(distance_B + margin).mean()


TERMS: Mapping[str, Term] = {
    # the mean squared difference of the samples for the same latent vectors (Eq. 2)
    "pixel": Term(loss=lambda out: F.mse_loss(out.student_BTC, out.teacher_BTC)),
    # minus the mean score of the student's samples (Eq. 1 in its Wasserstein form)
    "adversarial": Term(loss=lambda out: -out.student_critic[-1].mean(), needs_critic=True),
    # the mean squared difference of the critic's scores (Eq. 4)
    "class": Term(
        loss=lambda out: F.mse_loss(out.student_critic[-1], out.teacher_critic[-1]),
        needs_critic=True,
    ),
    "features": Term(
        loss=lambda out: features_loss(out.student_BSN, out.teacher_BHN, out.mappings),
        needs_maps=True,
        needs_mappings=True,
    ),
    "alignment": Term(
        loss=lambda out: alignment_loss(out.student_BSN, out.teacher_BHN), needs_maps=True
    ),
    "perceptual": Term(
        loss=lambda out: perceptual_loss(out.student_critic[:-1], out.teacher_critic[:-1]),
        needs_critic=True,
    ),
}
"""All terms of ``distil``, by the name of their weight."""


def used_terms(key: str, losses: Mapping[str, float], terms: Sequence[str]) -> dict[str, float]:
    """Return the terms whose weight is not 0, in the order of ``terms``.

    Raises a ConfigError that names ``key`` if a term is unknown, a weight is not a number from 0
    up, or all are 0.
    """
    for name, weight in losses.items():
        if name not in terms:
            raise ConfigError(
                f"{key}.{name} is unknown: allowed are {', '.join(terms)}{nearest(name, terms)}"
            )
        checked(f"{key}.{name}", weight, Amount)
    used = {name: float(losses[name]) for name in terms if losses.get(name)}
    require(key, dict(losses), bool(used), f"at least one of {', '.join(terms)} a weight above 0")
    return used


def _distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """Return for each sample the mean absolute difference in each layer, summed over layers."""
    layers = [(a - b).abs().flatten(1).mean(1) for a, b in zip(one, other, strict=True)]
    return torch.stack(layers).sum(0)
