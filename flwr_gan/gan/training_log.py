"""The common training loop: steps with a progress bar, a check for NaN, and a log."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import trange

from flwr_gan.errors import TrainingError

LOSSES = ("critic_loss", "wasserstein_estimate", "gradient_penalty", "generator_loss")
LOWER_RATES = "lower the learning rates of the gan settings"
CHECK_EVERY = 25
FINAL_ITERATIONS = 10
HISTORY_POINTS = 100


def run_steps(
    step: Callable[[], Tensor],
    iterations: int,
    *,
    names: Sequence[str],
    remedy: str = LOWER_RATES,
    progress: str | None = None,
) -> NDArray[np.float32]:
    """Call ``step`` for each iteration and return its losses, one row per iteration.

    Losses are checked every 25 iterations, to avoid waiting for the device each time. ``step``
    returns a float32 tensor with losses in the order of ``names`` on its last axis. 0 iterations
    do nothing. ``progress`` labels a progress bar, drawn only on a
    terminal. Raises a TrainingError that names the first loss that is not finite, its iteration and
    the ``remedy``.
    """
    blocks: list[NDArray[np.float32]] = []
    unchecked: list[Tensor] = []
    with trange(
        iterations, desc=progress, disable=None if progress else True, leave=False
    ) as steps:
        for done in steps:
            unchecked.append(step())
            if len(unchecked) < CHECK_EVERY and done + 1 < iterations:
                continue
            block = torch.stack(unchecked)
            if not bool(block.isfinite().all()):
                place = block.isfinite().logical_not().nonzero()[0].tolist()
                at = done + 2 - len(unchecked) + place[0]
                raise TrainingError(
                    f"{names[place[-1]]} is {block[tuple(place)].item()} at iteration {at} of "
                    f"{iterations}: {remedy}"
                )
            blocks.append(block.cpu().numpy())
            unchecked = []
    return np.concatenate(blocks) if blocks else np.zeros((0, len(names)), np.float32)


@dataclass(frozen=True)
class TrainLog:
    """Outcome of one call of ``WganGpTrainer.train``.

    The four losses are means over the last (at most 10) generator iterations; those of the critic
    are means over its R iterations in each.
    """

    iterations: int  # of the generator
    seconds: float  # wall time
    critic_loss: float  # -wasserstein_estimate + lambda * gradient_penalty
    wasserstein_estimate: float  # E[C(x|y)] - E[C(G(z|y)|y)]
    gradient_penalty: float  # before it is multiplied by lambda
    generator_loss: float  # Eq. 1, with the proximal term if there is one
    # ``iteration`` (from 1) and the four losses at up to 100 iterations, evenly spread, for plots
    history: dict[str, list[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, losses: NDArray[np.float32], seconds: float) -> "TrainLog":
        """Return the log of a training from the losses of its iterations, at least one."""
        rows: list[list[float]] = losses.tolist()
        last = rows[-FINAL_ITERATIONS:]
        means = {name: sum(row[i] for row in last) / len(last) for i, name in enumerate(LOSSES)}
        count = min(HISTORY_POINTS, len(rows))
        chosen = [(i + 1) * len(rows) // count - 1 for i in range(count)]
        history = {name: [rows[i][k] for i in chosen] for k, name in enumerate(LOSSES)}
        history = {"iteration": [float(i + 1) for i in chosen], **history}
        return cls(iterations=len(rows), seconds=seconds, history=history, **means)
