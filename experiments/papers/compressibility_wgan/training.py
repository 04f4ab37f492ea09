"""Trainings of one cell: the ticket level by level, then the controls; each is kept at once."""

import numpy as np
import torch

from experiments.papers.compressibility_wgan.cell import Cell
from flwr_gan.errors import LayerCollapseError
from flwr_gan.gan import WganGpTrainer, network_arrays
from flwr_gan.gan import load_network_arrays as load_arrays
from flwr_gan.prune import LotteryPruner
from flwr_gan.prune.magnitude import Mask
from flwr_gan.prune.pruner import Weights
from flwr_gan.seeding import derive_seed, numpy_rng


def find_generators(cell: Cell) -> None:
    """Train what is not there yet (paper 000, Alg. 2, and the controls).

    Both readings of "the generator after P" come from one search: the weights that training P
    (counted from 0) leaves under mask P are the ticket trained once more; the weights of training
    P - 1 under mask P are the ticket pruned after its last training, Alg. 2 as printed. Where
    pruning the dense generator at once takes a whole layer, that control ends.
    """
    generator, _ = cell.federation.networks(cell.seed)
    initial = network_arrays(generator)
    pruner, once = _pruner(cell, initial), _pruner(cell, initial)
    masks, whole = [], True
    for level in cell.levels:
        masks.append(pruner.mask)
        if not cell.path("retrained", level).exists():
            trained = _train(cell, pruner.rewind(), pruner.mask, purpose="train", level=level)
            cell.save("retrained", level, trained)
        trained = cell.load("retrained", level)
        if level == 0:
            dense = trained
        if level + 1 in cell.levels:
            pruner.prune(trained)
            cell.save("pruned", level + 1, pruner.rewind(trained))
            whole = whole and _can_prune(once, dense)
            if whole:
                cell.save("one_shot", level + 1, once.rewind(dense))
    for kind, level in cell.trained_controls:
        if not cell.path(kind, level).exists():
            if kind == "reinitialised":
                start, mask = _other_weights(cell), masks[level]
            else:
                start, mask = initial, _random_mask(cell, masks[level], level)
            kept = {name: np.where(mask[name], start[name], np.float32(0)) for name in mask}
            cell.save(kind, level, _train(cell, kept, mask, purpose=kind, level=level))


def _pruner(cell: Cell, initial: Weights) -> LotteryPruner:
    config = cell.config.lottery
    floor = config.min_kept_per_layer
    return LotteryPruner(initial, rate=config.rate, scope=config.scope, min_kept_per_layer=floor)


def _can_prune(pruner: LotteryPruner, weights: Weights) -> bool:
    """Go one level up; return whether every layer has kept a weight."""
    try:
        pruner.prune(weights)
    except LayerCollapseError:
        return False
    return True


def _train(cell: Cell, weights: Weights, mask: Mask, *, purpose: str, level: int) -> Weights:
    """Train a generator and a critic from given and initial weights; return the generator's."""
    generator, critic = cell.federation.networks(cell.seed)
    load_arrays(generator, weights)
    config = cell.config
    trainer = WganGpTrainer(generator, critic, config=config.gan, device=config.federation.device)
    rng = torch.Generator().manual_seed(derive_seed(cell.seed, f"study-{purpose}", round=level))
    trainer.train(cell.samples.x_NTC, cell.samples.y_N, rng=rng, mask=mask)
    return network_arrays(generator)


def _other_weights(cell: Cell) -> Weights:
    generator, _ = cell.federation.networks(derive_seed(cell.seed, "study-other-weights"))
    return network_arrays(generator)


def _random_mask(cell: Cell, mask: Mask, level: int) -> Mask:
    """Return a mask that keeps as many weights of each layer as another, at random places."""
    rng = numpy_rng(cell.seed, "study-random-mask", round=level)
    return {name: rng.permutation(kept.ravel()).reshape(kept.shape) for name, kept in mask.items()}
