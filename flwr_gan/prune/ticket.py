"""The search for a winning ticket (paper 000, Alg. 2)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flwr_gan.prune.magnitude import Mask
from flwr_gan.prune.pruner import LotteryConfig, LotteryPruner, Weights

TrainFunction = Callable[[int, Weights, Mask], Weights]


@dataclass(frozen=True)
class TicketLevel:
    """A generator after ``level`` prunings."""

    level: int  # p, prunings so far
    weights: Weights  # pruned ones are +0.0
    mask: Mask
    sparsity: float  # share of weights that are pruned


def find_ticket(
    initial: Mapping[str, NDArray[np.float32]], train: TrainFunction, *, config: LotteryConfig
) -> Iterator[TicketLevel]:
    """Prune, rewind and train again, level by level; yield the generator of each level.

    With ``config.train_final`` the levels are 0 (dense) to P, each trained under its own mask: P +
    1 trainings. Otherwise they are 1 to P, each pruned after its training: P trainings. ``train``
    gets the level, the rewound weights and the mask, and returns trained weights; the critic must
    start from its own initial weights each time (``WganGpTrainer.restart``). Raises
    LayerCollapseError if a layer would lose its last weight.
    """
    pruner = LotteryPruner(
        initial,
        rate=config.rate,
        scope=config.scope,
        min_kept_per_layer=config.min_kept_per_layer,
    )

    def result(weights: Weights) -> TicketLevel:
        return TicketLevel(pruner.level, pruner.rewind(weights), pruner.mask, pruner.sparsity)

    for level in range(config.iterations + config.train_final):
        trained = train(level, pruner.rewind(), pruner.mask)
        if config.train_final:
            yield result(trained)
        if level < config.iterations:
            pruner.prune(trained)
        if not config.train_final:
            yield result(trained)
