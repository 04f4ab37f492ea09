"""Train one case, with a check of quality every few updates."""

# N samples, L latent, D features

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from experiments.papers.rg_gan.flops import layer_macs, update_flops
from experiments.papers.rg_gan.material import Material, case_samples, networks
from experiments.papers.rg_gan.setting import METHODS
from flwr_gan.gan import WganGpTrainer, sample
from flwr_gan.gan.weights import load_network_arrays, network_arrays
from flwr_gan.metrics import frechet_distance
from flwr_gan.prune.magnitude import LEAST_AXES, Mask, prune
from flwr_gan.prune.pruner import LotteryConfig
from flwr_gan.prune.regeneration import AugmentedRegeneration
from flwr_gan.prune.threshold_masks import ThresholdedNetwork
from flwr_gan.prune.ticket import find_ticket
from flwr_gan.seeding import derive_seed

if TYPE_CHECKING:
    from experiments.papers.rg_gan.cases import Case

SHOWN = 20
"""Number of generated samples that are kept for pictures."""

_BATCH = 250
_MOST_COMPARED = 2000

Arrays = dict[str, NDArray[np.float32]]
_KEPT = (
    "update", "images", "flops_dense_computed", "flops_masked_computed", "score", "phase",
    "generator_sparsity", "critic_sparsity",
)  # fmt: skip


@dataclass(frozen=True)
class Snapshot:
    """A generator at a check."""

    arrays: Arrays  # its weights, pruned ones as +0.0
    check: dict[str, Any]  # the row of the check


@dataclass
class Keeper:
    """Collects the checks of a run, and keeps the best generator of each phase."""

    # one row per check: update, images, operations, score, phase, sparsity by layer
    checks: list[dict[str, Any]] = field(default_factory=list)
    # the generator with the lowest score by phase, and over all phases as ``"best"``. The score is
    # relative to training samples, so the choice does not use the test part
    best: dict[str, Snapshot] = field(default_factory=dict)
    last: Snapshot | None = None

    def add(self, check: dict[str, Any], arrays: Arrays, *, counts: bool = True) -> None:
        """Add a check; ``counts=False`` keeps only its row."""
        self.checks.append(check)
        if not counts:
            return
        snapshot = Snapshot(arrays, check)
        self.last = snapshot
        for key in ("best", check["phase"]):
            if key not in self.best or check["score"] < self.best[key].check["score"]:
                self.best[key] = snapshot

    def outputs(self) -> dict[str, Snapshot]:
        """Return the generators that are scored at the end, by name."""
        return self.best | ({"last": self.last} if self.last else {})


class Run:
    """The state of one training; scores are computed on the CPU."""

    def __init__(self, case: "Case", material: Material, *, device: str = "cpu") -> None:
        self.case, self.material = case, material
        self.method, self.settings = METHODS[case.method], case.family_settings
        self.samples = case_samples(case, material)
        self.reference_ND = material.features(self.samples.x_NTC[:_MOST_COMPARED])
        self.generator, self.critic = networks(case, material)
        self.plain, _ = networks(case, material)
        self._count_macs()
        pruned = {"generator": "g", "critic": "d"}
        self.masks = {
            name: ThresholdedNetwork(
                network, strength=self.settings.strength,
                pace=self.settings.pace * self.method.pace_factor,
                gradients=self.method.gradients, recurrent=self.method.recurrent,
                estimate=self.method.estimate,
            )
            for name, network in (("generator", self.generator), ("critic", self.critic))
            if pruned[name] in self.method.pruned
        }  # fmt: skip
        penalties = {name: masks.penalty for name, masks in self.masks.items()}
        self.trainer = WganGpTrainer(
            self.generator, self.critic, config=self.settings.gan, device=device,
            augment=material.augment if case.augmented_data else None,
            generator_regulariser=penalties.get("generator"),
            critic_regulariser=penalties.get("critic"),
        )  # fmt: skip
        self.rng = torch.Generator().manual_seed(derive_seed(case.seed, "rg-gan training"))
        self.regeneration = AugmentedRegeneration(list(self.masks.values()))
        self.keeper = Keeper()
        self.mask: Mask | None = None
        self._before: dict[str, Mask] = {}
        self._updates = 0
        self._images = 0
        self._flops = {"flops_dense_computed": 0.0, "flops_masked_computed": 0.0}

    def train(self) -> None:
        """Train to the end with the case's method."""
        if self.method.ticket_levels:
            self._search_ticket()
        elif self.method.alternates:
            self._alternate()
        else:
            self._go(phase="dense")

    def _go(self, *, phase: str, counts: bool = True) -> None:
        """Train for all updates, with a check after every step."""
        for updates in self._parts():
            now = "dense" if self.regeneration.dense or not self.masks else "sparse"
            self._train(updates)
            score = self._check(now if self.masks else phase, counts=counts)
            if self.method.augmented:
                self.regeneration.check(score)

    def _search_ticket(self) -> None:
        """Train, prune the smallest weights and rewind, ``ticket_levels`` times."""
        levels, last = self.method.ticket_levels, self.method.ticket_levels
        initial = network_arrays(self.generator)
        rate = 1 - (1 - self.method.ticket_sparsity) ** (1 / levels)

        def train(level: int, rewound: Arrays, mask: Mask) -> Arrays:
            load_network_arrays(self.generator, rewound)
            self.trainer.restart()
            self.mask = mask
            self._go(phase="sparse" if level else "dense", counts=level == last)
            return network_arrays(self.generator)

        config = LotteryConfig(rate=rate, iterations=levels, min_kept_per_layer=1)
        for _ in find_ticket(initial, train, config=config):
            pass

    def _alternate(self) -> None:
        """Alternate two dense and two pruned checks; regrown weights start from zero."""
        for at, updates in enumerate(self._parts()):
            pruning = at // 2 % 2 == 1
            if not pruning:
                self.mask = None
            elif self.mask is None:
                self.mask = self._smallest()
            self._train(updates)
            self._check("sparse" if pruning else "dense")

    def _smallest(self) -> Mask:
        arrays = network_arrays(self.generator)
        whole = {name: np.ones(a.shape, bool) for name, a in arrays.items()}
        return prune(
            arrays, whole, pruned=lambda size: round(self.settings.regan_sparsity * size),
            scope="global", min_kept_per_layer=1,
        )  # fmt: skip

    def _parts(self) -> list[int]:
        total, every = self.settings.gan.iterations, self.settings.check_every
        return [min(every, total - done) for done in range(0, total, every)]

    def _train(self, updates: int) -> None:
        config = self.settings.gan
        before = self._kept()
        self.trainer.train(
            self.samples.x_NTC, self.samples.y_N, iterations=updates, rng=self.rng, mask=self.mask
        )
        self._updates += updates
        self._images += updates * config.critic_iterations * config.batch_size
        # masks change between the checks: the mean of both ends is used for all updates
        kept = {
            network: {name: (before[network][name] + share) / 2 for name, share in layers.items()}
            for network, layers in self._kept().items()
        }
        flops = update_flops(
            self.macs["generator"], self.macs["critic"], kept, config,
            penalised=config.loss == "wasserstein", trained_masks=bool(self.masks),
        )  # fmt: skip
        self._flops["flops_dense_computed"] += updates * flops.dense
        self._flops["flops_masked_computed"] += updates * flops.masked

    def _check(self, phase: str, *, counts: bool = True) -> float:
        arrays = self._arrays()
        load_network_arrays(self.plain, arrays)
        x_NTC = self.draw(self.settings.checked_samples)
        score = frechet_distance(self.reference_ND, self.material.features(x_NTC))
        layers = self._masks()
        row: dict[str, Any] = {
            "update": self._updates,
            "images": self._images,
            **self._flops,
            "score": score,
            "phase": phase,
            "resets": sum(masks.resets for masks in self.masks.values()),
        }
        for network, masks in layers.items():
            row[f"{network}_sparsity"] = _pruned_share(masks)
            row[f"{network}_layers"] = [1 - float(mask.mean()) for mask in masks.values()]
            row[f"{network}_regenerated"] = _returned(self._before.get(network), masks)
        self._before = layers
        self.keeper.add(row, arrays, counts=counts)
        return score

    def draw(self, count: int) -> NDArray[np.float32]:
        """Return samples of the plain generator for the first vectors of a fixed sequence."""
        rng = torch.Generator().manual_seed(derive_seed(0, "rg-gan latents"))
        y_N = np.arange(count) % self.plain.num_classes
        return sample(self.plain, y_N, rng=rng, batch_size=_BATCH)

    def _arrays(self) -> Arrays:
        masks = self.masks.get("generator")
        return masks.arrays() if masks else network_arrays(self.generator)

    def _masks(self) -> dict[str, Mask]:
        """Return the current masks of the weights of both networks."""
        found = {name: masks.mask for name, masks in self.masks.items()}
        if self.mask is not None:
            found["generator"] = {n: m for n, m in self.mask.items() if _prunable(m)}
        for name, network in (("generator", self.generator), ("critic", self.critic)):
            if name not in found:
                arrays = network_arrays(network)
                found[name] = {n: np.ones(a.shape, bool) for n, a in arrays.items() if _prunable(a)}
        return found

    def _kept(self) -> dict[str, dict[str, float]]:
        return {
            network: {name: float(mask.mean()) for name, mask in masks.items()}
            for network, masks in self._masks().items()
        }

    def _count_macs(self) -> None:
        z_BL, y_B = torch.zeros(1, self.plain.latent_dim), torch.zeros(1, dtype=torch.int64)
        with torch.no_grad():
            x_BTC = self.plain(z_BL, y_B)
        _, critic = networks(self.case, self.material)
        self.macs = {
            "generator": layer_macs(self.plain, z_BL, y_B),
            "critic": layer_macs(critic, x_BTC, y_B),
        }


def run_case(
    case: "Case", material: Material, *, device: str = "cpu"
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Train and score a case; return checks, scores by output, and samples of the best."""
    run = Run(case, material, device=device)
    run.train()
    outputs = {}
    shown_NTC = np.empty(0, dtype=np.float32)
    for name, snapshot in run.keeper.outputs().items():
        load_network_arrays(run.plain, snapshot.arrays)
        x_NTC = run.draw(case.family_settings.judged_samples)
        if name == "best":
            shown_NTC = x_NTC[:SHOWN]
        check = {key: snapshot.check[key] for key in _KEPT}
        outputs[name] = check | material.final_scores(x_NTC) | _size(snapshot.arrays)
    return {"checks": run.keeper.checks, "outputs": outputs}, shown_NTC


def _size(arrays: Arrays) -> dict[str, int]:
    return {
        "parameters": sum(array.size for array in arrays.values()),
        "nonzero": sum(int(np.count_nonzero(array)) for array in arrays.values()),
    }


def _prunable(array: NDArray[Any]) -> bool:
    return array.ndim >= LEAST_AXES


def _pruned_share(masks: Mapping[str, NDArray[np.bool_]]) -> float:
    kept = sum(int(np.count_nonzero(mask)) for mask in masks.values())
    return 1 - kept / sum(mask.size for mask in masks.values())


def _returned(before: Mask | None, now: Mask) -> float:
    """Return the share of weights that were pruned at the last check and are kept now."""
    if before is None:
        return 0.0
    count = sum(int(np.count_nonzero(now[name] & ~before[name])) for name in now)
    return count / sum(mask.size for mask in now.values())
