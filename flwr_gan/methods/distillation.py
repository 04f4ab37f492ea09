"""Distillation of a generator: a student learns to reproduce its teacher's samples.

B batch, N labels, L latent, T vectors, C components, I iterations; S and H channels of a hidden
layer of student and teacher.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.core.settings import Count, Natural, Rate, checked
from flwr_gan.errors import ConfigError, DataError, TrainingError
from flwr_gan.gan.adam_state import new_adam
from flwr_gan.gan.batches import draw_latent
from flwr_gan.gan.dcgan import DepthGenerator
from flwr_gan.gan.networks import SampleGenerator, initialise
from flwr_gan.gan.sampling import check_labels
from flwr_gan.gan.trainer import check_weights, take_step
from flwr_gan.gan.training_log import run_steps
from flwr_gan.gan.weights import as_tensor
from flwr_gan.methods.chain import with_maps
from flwr_gan.methods.distillation_losses import TERMS, Outputs, used_terms

BETAS = (0.9, 0.999)
SAMPLES_FOR_MEAN = 64
REMEDY = "lower method.learning_rate or the weights of method.losses"


@dataclass(frozen=True, eq=False)
class DistillationLog:
    """Losses of a distillation."""

    total_I: NDArray[np.float32]  # the weighted sum before each update
    terms: Mapping[str, NDArray[np.float32]]  # each term by its name, before it is weighted


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
    balanced: bool = False,
    rng: torch.Generator,
    progress: str | None = None,
) -> DistillationLog:
    """Train a student in place, with Adam, to reproduce the teacher's samples.

    Both get the same latent vectors. The generators are on one device, and so is ``critic``, the
    teacher's, for the terms that use it. Labels are drawn from ``labels_N`` with replacement.
    ``losses`` has the weight of each of ``distillation_losses.TERMS``; with ``balanced`` it is the
    weight of the term's gradient: each term is scaled by a factor so that on the first batch the
    norm of its gradient in the student's weights equals that of the first term. With 0 iterations
    nothing is trained; weights may be parametrised.

    Raises ConfigError if a term is unknown or lacks an input, a setting is out of range or the
    generators do not match; DataError if labels do not fit; TrainingError for values that are not
    finite, and for a balanced term without a gradient.
    """
    weights = used_terms("method.losses", losses, list(TERMS))
    checked("method.learning_rate", learning_rate, Rate)
    checked("method.batch_size", batch_size, Count)
    checked("method.iterations", iterations, Natural)
    _check_pair(student, teacher)
    _check_needs(weights, critic)
    device = next(student.parameters()).device
    y_N = _check_labels(labels_N, student).to(device)
    mappings = nn.ModuleList()
    if maps := any(TERMS[name].needs_maps for name in weights):
        widths = layer_widths(student, teacher)
        if any(TERMS[name].needs_mappings for name in weights):
            seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
            mappings = channel_mappings(*widths, seed=seed).to(device)
    critic = critic if any(TERMS[name].needs_critic for name in weights) else None
    trained = nn.ModuleList([student, mappings])
    adam = new_adam(trained.parameters(), lr=learning_rate, betas=BETAS)
    factors: list[float] = [] if balanced else list(weights.values())

    def step() -> Tensor:
        index_B = torch.randint(len(y_N), (batch_size,), generator=rng, device=rng.device)
        index_B = index_B.to(device)
        z_BL = draw_latent(student, batch_size, rng)
        out = _outputs(student, teacher, critic, z_BL, y_N[index_B], mappings, maps)
        terms = torch.stack([TERMS[name].loss(out) for name in weights])
        if not factors:
            factors.extend(balanced_weights(weights, list(terms), list(student.parameters())))
        total = (terms * terms.new_tensor(factors)).sum()
        update(adam, trained, total)
        return torch.cat([total.detach()[None], terms.detach()])

    names = ["the weighted loss", *weights]
    found = run_steps(step, iterations, names=names, remedy=REMEDY, progress=progress)
    adam.zero_grad(set_to_none=True)
    check_weights(student.named_parameters(), iterations, remedy=REMEDY)
    total_I, *rows = found.T
    return DistillationLog(total_I, dict(zip(weights, rows, strict=True)))


def _outputs(
    student: SampleGenerator,
    teacher: SampleGenerator,
    critic: nn.Module | None,
    z_BL: Tensor,
    y_B: Tensor,
    mappings: nn.ModuleList,
    maps: bool,
) -> Outputs:
    """Run both generators, and the critic where there is one, on one batch."""

    def made(generator: SampleGenerator) -> tuple[Tensor, Sequence[Tensor]]:
        return with_maps(generator, z_BL, y_B) if maps else (generator(z_BL, y_B), ())

    def seen(x_BTC: Tensor) -> Sequence[Tensor]:
        if critic is None:
            return ()
        return critic.features(x_BTC, y_B)  # type: ignore[operator, no-any-return]

    with torch.no_grad():
        teacher_BTC, teacher_maps = made(teacher)
    student_BTC, student_maps = made(student)
    student_critic = seen(student_BTC)
    with torch.no_grad():
        teacher_critic = seen(teacher_BTC)
    return Outputs(
        student_BTC=student_BTC,
        teacher_BTC=teacher_BTC,
        student_critic=student_critic,
        teacher_critic=teacher_critic,
        student_BSN=student_maps,
        teacher_BHN=teacher_maps,
        mappings=list(mappings),
    )


def start_student(student: SampleGenerator, teacher: SampleGenerator, rng: torch.Generator) -> None:
    """Let a newly drawn ``DepthGenerator`` start at the mean colour of its teacher's samples.

    Other generators are not changed; see ``DepthGenerator.start_near``.
    """
    if not isinstance(student, DepthGenerator):
        return
    z_BL = draw_latent(teacher, SAMPLES_FOR_MEAN, rng)
    y_B = torch.arange(SAMPLES_FOR_MEAN, device=z_BL.device) % teacher.num_classes
    with torch.no_grad():
        x_BTC = teacher(z_BL, y_B)
    student.start_near(x_BTC.reshape(-1, student.num_channels).mean(0))


def balanced_weights(
    weights: Mapping[str, float], terms: Sequence[Tensor], parameters: Sequence[Tensor]
) -> list[float]:
    """Return the weights times factors that give all terms' gradients the norm of the first's.

    ``terms`` are the values of the terms, in the order of ``weights``. Raises TrainingError for a
    term without a gradient.
    """
    norms = []
    for name, term in zip(weights, terms, strict=True):
        gradients = torch.autograd.grad(term, parameters, retain_graph=True, materialize_grads=True)
        norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))
        if not norms[-1] > 0:
            raise TrainingError(
                f"method.losses.{name} has no gradient at the start, so it cannot be balanced: "
                "give method.balanced=false, or weight 0"
            )
    return [weight * norms[0] / norm for weight, norm in zip(weights.values(), norms, strict=True)]


def update(adam: torch.optim.Adam, network: nn.Module, loss: Tensor) -> None:
    """Take one step of Adam; weights that the loss does not depend on get a gradient of zero."""
    weights = list(network.parameters())
    take_step(adam, weights, torch.autograd.grad(loss, weights, materialize_grads=True))


def layer_widths(student: SampleGenerator, teacher: SampleGenerator) -> tuple[list[int], list[int]]:
    """Return the channels of the hidden layers of both.

    Raises ConfigError unless the layers match one by one except for the channels.
    """
    device = next(student.parameters()).device
    z_BL = torch.zeros(1, student.latent_dim, device=device)
    y_B = torch.zeros(1, dtype=torch.int64, device=device)
    with torch.no_grad():
        small_maps, large_maps = (with_maps(g, z_BL, y_B)[1] for g in (student, teacher))
    if [maps.shape[2] for maps in small_maps] != [maps.shape[2] for maps in large_maps]:
        raise ConfigError(
            "method.losses.features and alignment need a student whose layers match the teacher's "
            f"one by one: a {type(student).__name__} and a {type(teacher).__name__} do not"
        )
    small, large = ([maps.shape[1] for maps in of] for of in (small_maps, large_maps))
    return small, large


def channel_mappings(small: Sequence[int], large: Sequence[int], *, seed: int) -> nn.ModuleList:
    """Return for each layer a trainable map of its channels to other ones, freshly drawn."""
    with torch.device("meta"):  # PyTorch's own initialisation draws from the global state
        mappings = nn.ModuleList(nn.Conv1d(*pair, 1) for pair in zip(small, large, strict=True))
    mappings.to_empty(device="cpu")
    initialise(mappings, seed)
    return mappings


def _check_pair(student: SampleGenerator, teacher: SampleGenerator) -> None:
    for name in ("num_vectors", "num_components", "num_classes", "latent_dim"):
        mine, other = getattr(student, name), getattr(teacher, name)
        if mine != other:
            raise ConfigError(
                f"the student's {name} is {mine} and the teacher's {other}: they must be equal"
            )


def _check_needs(weights: Mapping[str, float], critic: nn.Module | None) -> None:
    for name in weights:
        if TERMS[name].needs_critic and not hasattr(critic, "features"):
            raise ConfigError(
                f"method.losses.{name} needs the teacher's critic, with a method features: give "
                "one, or weight 0"
            )


def _check_labels(labels_N: NDArray[np.int64], student: SampleGenerator) -> Tensor:
    if labels_N.ndim != 1 or not len(labels_N):
        raise DataError(f"labels have shape {labels_N.shape}: (N,) with N of at least 1 is needed")
    y_N = as_tensor(labels_N.astype(np.int64))
    check_labels(y_N, student.num_classes)
    return y_N
