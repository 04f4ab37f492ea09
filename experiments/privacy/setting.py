"""What is run: budgets, data, seeds, and the sizes that they share."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flwr_gan.errors import ConfigError

PLAIN, LONGER = "none", "none_longer"
"""Budgets that are no budget: training without noise, as long as the private ones or longer."""


def check_budget(budget: str) -> None:
    """Raise a ConfigError unless a budget is a number above 0, ``none`` or ``none_longer``."""
    if budget in (PLAIN, LONGER):
        return
    try:
        usable = 0 < float(budget) < math.inf
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"--epsilons {budget}: give numbers above 0, {PLAIN} or {LONGER}")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the runs of one data set share.

    Parameters
    ----------
    budgets : tuple of str
        Target epsilons, ``none`` or ``none_longer``.
    overrides : str
        Settings of the app.
    iterations : int
        Generator iterations of each training.
    longer : int
        How many times as many the longer training has.
    attacked_per_class : int
        Generated samples of each class that the attack has.
    seconds_per_iteration : float
        Rough processor seconds of an iteration of all clients, for estimates.
    """

    budgets: tuple[str, ...]
    overrides: str
    iterations: int
    longer: int = 10
    attacked_per_class: int = 1000
    seconds_per_iteration: float = 0.1

    def __post_init__(self) -> None:
        for budget in self.budgets:
            check_budget(budget)


# Few critic steps, large batches: for one epsilon, noise grows with the root of the steps.
_SHARED = (
    "strategy=generator_pool partition=dirichlet partition.alpha=1.0 federation.num_clients=3 "
    "gan=small gan.critic_iterations=5 lottery.iterations=1 lottery.rate=0.5 codec=sparse "
    "evaluation=server"
)
_GRID = (PLAIN, "1000", "100", "30", "10", "3")

PRESETS: dict[str, dict[str, Setting]] = {
    "default": {
        "digits": Setting(
            budgets=(LONGER, *_GRID), iterations=150, seconds_per_iteration=0.04,
            overrides=f"{_SHARED} gan.critic_hidden=[64,64] gan.batch_size=128",
        ),
        "pendigits": Setting(
            budgets=_GRID, iterations=200, seconds_per_iteration=0.1,
            overrides=f"{_SHARED} gan.batch_size=256",
        ),
    },
    "short": {
        "digits": Setting(
            budgets=(PLAIN, "10"), iterations=2, attacked_per_class=30,
            overrides=(
                f"{_SHARED} gan.critic_hidden=[8,8] gan.channels=[8,8] gan.batch_size=64 "
                "samples_per_class=20"
            ),
        ),
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of the app.

    Parameters
    ----------
    data : str
        Data set.
    budget : str
        Target epsilon of each client, ``none`` or ``none_longer``.
    seed : int
        Everything derives from it; runs of one seed start from the same weights and split.
    setting : Setting
        All that the runs of a data set share.
    """

    data: str
    budget: str
    seed: int
    setting: Setting

    @property
    def name(self) -> str:
        """The case as a folder's name."""
        return f"{self.data}_epsilon-{self.budget}_seed{self.seed}"

    @property
    def is_private(self) -> bool:
        """Whether there is noise."""
        return self.budget not in (PLAIN, LONGER)

    @property
    def iterations(self) -> int:
        """Generator iterations of each training."""
        return self.setting.iterations * (self.setting.longer if self.budget == LONGER else 1)

    @property
    def overrides(self) -> str:
        """The app's settings, but for where results go."""
        own = f"data={self.data} {self.setting.overrides} gan.iterations={self.iterations}"
        private = (
            f" privacy=dp_critic privacy.noise_multiplier=null privacy.target_epsilon={self.budget}"
            if self.is_private
            else ""
        )
        return f"{own} seed={self.seed}{private}"

    @property
    def work_s(self) -> float:
        """Roughly how long it takes, in processor seconds: two trainings, scores, attacks."""
        return 2 * self.iterations * self.setting.seconds_per_iteration + 8


def grid(
    preset: str,
    *,
    seeds: Sequence[int],
    data: Sequence[str] = (),
    epsilons: Sequence[str] = (),
) -> Iterator[Case]:
    """Yield the runs, seed after seed.

    Raises
    ------
    ConfigError
        When a data set or a budget is none of the preset's, or a seed is named twice.
    """
    settings = PRESETS[preset]
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds {','.join(map(str, seeds))}: name at least one, each once")
    for name in data:
        if name not in settings:
            raise ConfigError(f"--data {name}: choose from {', '.join(settings)}")
    for budget in epsilons:
        check_budget(budget)
    for seed in seeds:
        for name in data or settings:
            for budget in epsilons or settings[name].budgets:
                yield Case(data=name, budget=budget, seed=seed, setting=settings[name])
