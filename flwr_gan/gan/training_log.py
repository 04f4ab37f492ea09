"""What one training tells of itself: final losses, a short history, and the check for NaN."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from flwr_gan.errors import TrainingError

LOSSES = ("critic_loss", "wasserstein_estimate", "gradient_penalty", "generator_loss")
CHECK_EVERY = 25
FINAL_ITERATIONS = 10
HISTORY_POINTS = 100


@dataclass(frozen=True)
class TrainLog:
    """Outcome of one call of ``WganGpTrainer.train``.

    The four losses are means over the last (at most 10) generator iterations; those of the critic
    are means over its R iterations in each.

    Parameters
    ----------
    iterations : int
        Generator iterations done.
    seconds : float
        Wall time, in seconds.
    critic_loss : float
        -wasserstein_estimate + lambda * gradient_penalty.
    wasserstein_estimate : float
        E[C(x|y)] - E[C(G(z|y)|y)].
    gradient_penalty : float
        Before it is multiplied by lambda.
    generator_loss : float
        Eq. 1, with the proximal term where there is one.
    history : dict
        ``iteration`` (from 1) and the four losses at up to 100 iterations, evenly spread, for
        plots.
    """

    iterations: int
    seconds: float
    critic_loss: float
    wasserstein_estimate: float
    gradient_penalty: float
    generator_loss: float
    history: dict[str, list[float]] = field(default_factory=dict)


class LossRecorder:
    """Collects the losses of a training and stops it when one is not finite.

    Losses are looked at once in 25 iterations, so that a device is not waited for each time.

    Parameters
    ----------
    iterations : int
        Generator iterations that the training will do.
    """

    def __init__(self, iterations: int) -> None:
        self._iterations = iterations
        self._unchecked: list[Tensor] = []
        self._rows: list[list[float]] = []
        self._start_s = time.perf_counter()

    def add(self, losses: Tensor) -> None:
        """Take the losses of one generator iteration, a float32 tensor in the order of LOSSES.

        Raises
        ------
        TrainingError
            If a loss of this or an earlier iteration is not finite; names loss and iteration.
        """
        self._unchecked.append(losses)
        if len(self._unchecked) == CHECK_EVERY:
            self._check()

    def finish(self) -> TrainLog:
        """Check what is left and sum up; raises like ``add``."""
        self._check()
        last = self._rows[-FINAL_ITERATIONS:]
        means = {name: sum(row[i] for row in last) / len(last) for i, name in enumerate(LOSSES)}
        return TrainLog(
            iterations=len(self._rows),
            seconds=time.perf_counter() - self._start_s,
            history=self._history(),
            **means,
        )

    def _check(self) -> None:
        if not self._unchecked:
            return
        block = torch.stack(self._unchecked)
        self._unchecked = []
        if not bool(block.isfinite().all()):
            row, column = block.isfinite().logical_not().nonzero()[0].tolist()
            iteration = len(self._rows) + row + 1
            raise TrainingError(
                f"{LOSSES[column]} is {block[row, column].item()} at generator iteration "
                f"{iteration} of {self._iterations}: lower the learning rates of the gan settings"
            )
        self._rows.extend(block.tolist())

    def _history(self) -> dict[str, list[float]]:
        count = min(HISTORY_POINTS, len(self._rows))
        chosen = [(i + 1) * len(self._rows) // count - 1 for i in range(count)]
        history = {name: [self._rows[i][k] for i in chosen] for k, name in enumerate(LOSSES)}
        return {"iteration": [float(i + 1) for i in chosen], **history}
