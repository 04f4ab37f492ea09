"""Settings of iterative pruning (paper 000, Alg. 2)."""

from dataclasses import dataclass
from typing import Literal

from flwr_gan.core.settings import Natural, Settings, Share

Scope = Literal["global", "local"]


@dataclass(frozen=True, kw_only=True)
class LotteryConfig(Settings):
    """How a generator is pruned to a ticket.

    Parameters
    ----------
    rate : float
        delta, the share of the surviving weights that each pruning removes; in (0, 1).
    iterations : int
        P, the number of prunings; 0 leaves the generator dense.
    scope : str
        ``"global"``: the smallest weights of the whole network go.
        ``"local"``: the same share goes from each layer.
    train_final : bool
        True: the ticket is trained once more under its final mask, P + 1 trainings in all.
        False: Alg. 2 as printed, P trainings, the last pruning comes after the last training.
    min_kept_per_layer : int
        Weights that every layer keeps whatever their size. With 0, a layer that would lose
        everything is an error.
    """

    group = "lottery"

    rate: Share = 0.2
    iterations: Natural = 5
    scope: Scope = "global"
    train_final: bool = True
    min_kept_per_layer: Natural = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        trained = self.train_final or self.iterations > 0
        self.require("train_final", trained, "true where lottery.iterations=0: nothing trains else")
