"""Layers factored into two smaller ones by truncated SVD, and trained in that form.

A weight is unfolded to m rows (first axis) and n columns (all others); r its rank.
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import nn

from flwr_gan.errors import CodecError, ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import as_tensor
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.wire.codecs.scaling import SMALLEST
from flwr_gan.wire.stages import ArrayStage, get_stage
from flwr_gan.wire.stages.lowrank import MOST_RANK

Factor = NDArray[np.float32]


class Factored(Method):
    """Each layer ``W`` of m x n becomes ``U V``: a layer from n to r, and one from r to m.

    The factors are those of the stage ``lowrank``: before training, the generator computes the same
    as its decoded payload. They are then trained, and sent as separate arrays: ``fc.weight``
    becomes ``fc.down.weight`` and ``fc.up.weight``; a bias goes to ``up``.

    =================  ==================================  ==================================
    layer              down                                up
    =================  ==================================  ==================================
    Linear             Linear to r                         Linear from r
    Conv1d             Conv1d of the same kernel to r      Conv1d of 1 from r
    ConvTranspose2d    Conv2d of 1 x 1 to r                ConvTranspose2d of the same kernel
    =================  ==================================  ==================================

    A layer is unchanged if r (m + n) is not below m n, so that weights and multiply-accumulates
    never increase. The factors are dense: zeros of a pruned generator are lost.

    Parameters
    ----------
    rank : int, optional
        r of each layer, 1 to 1,024; at most the layer's own rank.
    energy : float, optional
        Each layer gets the least r that keeps this share of its squared singular values, 0.0001 to
        0.9999 in steps of 0.0001. A receiver then does not know the form in advance.

    Raises
    ------
    ConfigError
        Unless one of the two is given, within its range.
    """

    def __init__(self, *, rank: int | None = None, energy: float | None = None) -> None:
        if (rank is None) == (energy is None):
            raise ConfigError(
                f"method.rank={rank!r} and method.energy={energy!r} are not allowed together: "
                "give one of them and null for the other"
            )
        self._by_rank = energy is None
        if energy is None:
            spec = f"lowrank:rank:{rank}"
            allowed = f"rank={rank!r} is not allowed: give a whole number from 1 to {MOST_RANK}"
        else:
            spec = f"lowrank:energy:{energy}"
            allowed = f"energy={energy!r} is not allowed: give 0.0001 to 0.9999, at most 4 decimals"
        try:
            self._stage = cast(ArrayStage, get_stage(spec))
        except CodecError as error:
            raise ConfigError(f"method.{allowed}") from error

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return the factored form of a generator, from its layers' shapes and the rank.

        Raises ConfigError if the ranks follow from the kept energy.
        """
        if not self._by_rank:
            raise ConfigError(
                "method.energy gives ranks that depend on the weights, so a receiver cannot know "
                "the form: give method.rank"
            )
        return self._factored(generator)

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Factor the generator and train the factors."""
        factored = self._factored(gan.generator)
        budget.train(gan, factored)
        return factored

    def _factored(self, generator: SampleGenerator) -> SampleGenerator:
        copy = deepcopy(generator)
        layers = [(n, layer) for n, layer in copy.named_modules() if isinstance(layer, _KINDS)]
        for name, layer in layers:
            weight = layer.weight.detach().cpu().numpy()
            # The stage counts nonzero weights; here the form must depend only on the shape.
            dense = np.where(weight == 0, np.float32(SMALLEST), weight)
            try:
                _, (parts,) = self._stage.apply([dense])
            except CodecError as error:
                raise ConfigError(f"layer {name} cannot be factored: {error}") from error
            if len(parts) == 2:
                pair = _pair(layer, *parts)
                copy.set_submodule(name, pair.to(layer.weight.device))
        return copy


_KINDS = (nn.Linear, nn.Conv1d, nn.ConvTranspose2d)


def with_ranks(generator: SampleGenerator, ranks: Mapping[str, int]) -> SampleGenerator:
    """Return a generator whose named layers are factored to these ranks, with zeros as weights."""
    copy = deepcopy(generator)
    for name, rank in ranks.items():
        layer = copy.get_submodule(name)
        rows, *columns = layer.get_parameter("weight").shape
        left_RM = np.zeros((rank, rows), np.float32)
        right_RN = np.zeros((rank, math.prod(columns)), np.float32)
        copy.set_submodule(name, _pair(layer, left_RM, right_RN))
    return copy


def _pair(layer: nn.Module, left_RM: Factor, right_RN: Factor) -> nn.Sequential:
    """Return two layers equivalent to one, with the factors as weights."""
    rank = len(left_RM)
    down: nn.Module
    up: nn.Module
    shape = layer.get_parameter("weight").shape
    if isinstance(layer, nn.ConvTranspose2d):
        down, up = _meta(nn.Conv2d, shape[0], rank, kernel_size=1), deepcopy(layer)
        up.in_channels = rank
        into, out = left_RM.reshape(rank, -1, 1, 1), right_RN.reshape(rank, *shape[1:])
    elif isinstance(layer, nn.Conv1d):
        down, up = deepcopy(layer), _meta(nn.Conv1d, rank, shape[0], kernel_size=1)
        down.out_channels = rank
        into, out = right_RN.reshape(rank, *shape[1:]), left_RM.T[:, :, None]
    else:
        down, up = _meta(nn.Linear, shape[1], rank), _meta(nn.Linear, rank, shape[0])
        into, out = right_RN, left_RM.T
    for part, factor in ((down, into), (up, out)):
        part.register_parameter("weight", nn.Parameter(as_tensor(factor)))
    bias = dict(layer.named_parameters()).get("bias")
    down.register_parameter("bias", None)
    up.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach().clone()))
    pair = nn.Sequential()
    pair.add_module("down", down)
    pair.add_module("up", up)
    return pair


def _meta(kind: type[nn.Module], *sizes: int, **settings: int) -> nn.Module:
    """Build a layer without weights: PyTorch's own initialisation draws from the global state."""
    return kind(*sizes, **settings, device="meta")
