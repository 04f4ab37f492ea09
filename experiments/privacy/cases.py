"""The cases: budgets, data, seeds, and the measures of a run.

n samples of a class, T vectors, C components.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.study.app_runs import finish_run, uploads
from experiments.study.cases import StudyCase
from flwr_gan.app.federation import Federation, load_federation
from flwr_gan.app.overrides import split_overrides
from flwr_gan.data import Samples
from flwr_gan.errors import ConfigError
from flwr_gan.gan import torch_threads
from flwr_gan.metrics import attack_generator
from flwr_gan.metrics.membership import ATTACKS
from flwr_gan.seeding import derive_seed, numpy_rng
from flwr_gan.wire import load

PLAIN, LONGER = "none", "none_longer"
"""Names for training without noise, as long as private training or longer."""
SCORES = ("frechet_distance", "coverage", "conditional_accuracy", "synthetic_accuracy")


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
    """The settings that the runs of one data set share."""

    budgets: tuple[str, ...]  # target epsilons, ``none`` or ``none_longer``
    overrides: str  # settings of the app
    iterations: int  # generator iterations of each training
    longer: int = 10  # factor of the iterations of the longer training
    attacked_per_class: int = 1000  # generated samples per class for the attack
    # rough processor seconds of one iteration of all clients, for estimates
    seconds_per_iteration: float = 0.1

    def __post_init__(self) -> None:
        for budget in self.budgets:
            check_budget(budget)


# Few critic steps, large batches: at fixed epsilon, the noise grows with the root of the steps.
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
class Case(StudyCase):
    """One run of the app, and the attack on its uploads."""

    columns = ("data", "budget", "seed")
    title = "{data}_epsilon-{budget}_seed{seed}"

    data: str  # data set
    budget: str  # target epsilon of each client, ``none`` or ``none_longer``
    seed: int  # of all draws; runs with the same seed start from the same weights and split
    setting: Setting  # settings that the runs of a data set share

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        return {"overrides": self.overrides, "attacked": self.setting.attacked_per_class}

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
        """The app's settings except the output folder."""
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

    def measure(self, folder: Path) -> dict[str, Any]:
        """Run the app and attack its uploads; return quality, AUC, bytes and epsilon."""
        run = finish_run(split_overrides(self.overrides), folder / "run")
        federation = load_federation(f"{self.overrides} output_dir={run}")
        per_class = self.setting.attacked_per_class
        attacks = list(attack_uploads(federation, run, per_class=per_class))
        last, sent = pd.read_csv(run / "rounds.csv").iloc[-1], uploads(run)
        result: dict[str, Any] = {name: float(last[name]) for name in SCORES}
        result |= {name: sum(row[name] for row in attacks) / len(attacks) for name in ATTACKS}
        result |= {
            "payload_bytes": float(sent["payload_bytes"].mean()),
            "sparsity": float(last["sparsity"]),
            "epsilon": math.inf,
            "noise_multiplier": 0.0,
        }
        if self.is_private:
            spent = pd.read_csv(run / "privacy.csv")
            result |= {name: float(spent[name].max()) for name in ("epsilon", "noise_multiplier")}
        return result | {"attacks": attacks}


def attack_uploads(
    federation: Federation, folder: Path, *, per_class: int
) -> Iterator[dict[str, Any]]:
    """Yield one row per upload: the attacked client, the number of samples, each attack's AUC.

    Members are the client's samples, outsiders as many samples of each class from other clients.
    Both come from the same training part, so they differ only in having been trained on; a client
    finds its ticket alone, so it has never seen the others' samples. If the other clients have too
    few samples of a class, both groups have as many as there are.
    """
    names = list(federation.delivered().state_dict())
    for partition in range(len(federation.split)):
        path = folder / "generators" / f"client-{partition:05d}.fgan"
        arrays = dict(zip(names, load(path).values(), strict=False))
        seed = derive_seed(federation.config.seed, "attack", partition=partition)
        members, outsiders = compared(federation, partition)
        labels_N = np.repeat(np.unique(members.y_N), per_class)
        with torch_threads(1):
            generated = Samples(federation.generate(arrays, labels_N, seed), labels_N)
        row: dict[str, Any] = {"client": partition, "members": len(members)}
        for attack in ATTACKS:
            rng = np.random.default_rng(seed)
            found = attack_generator(members, outsiders, generated, attack=attack, rng=rng)
            row |= {attack: found.auc, f"{attack}_low": found.low, f"{attack}_high": found.high}
        yield row


def compared(federation: Federation, partition: int) -> tuple[Samples, Samples]:
    """Return members and outsiders of a client, equally many of each class."""
    own = federation.split[partition]
    everybody = np.concatenate(list(federation.split))
    others = np.setdiff1d(everybody, own)
    y_N = federation.dataset.train.y_N
    rng = numpy_rng(federation.config.seed, "outsiders", partition=partition)
    chosen: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for k in np.unique(y_N[own]):
        sets = [part[y_N[part] == k] for part in (own, others)]
        n = min(map(len, sets))
        for taken, of_class in zip(chosen, sets, strict=True):
            taken.append(rng.choice(of_class, size=n, replace=False))
    members, outsiders = (federation.dataset.train.take(np.concatenate(part)) for part in chosen)
    return members, outsiders
