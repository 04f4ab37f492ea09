"""A codebook with trained centroids (Han et al., 2016), called encoding in the survey.

K centroids; B batch, L latent.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from flwr_gan.core.settings import Within
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import as_tensor, load_network_arrays, network_arrays
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.decoded import Arrays, StageChain
from flwr_gan.wire.codecs.scaling import SMALLEST
from flwr_gan.wire.stages.codebook import LEAST, MOST


@dataclass(frozen=True, eq=False, kw_only=True)
class CodebookTuning(Method):
    """K-means once, by the stage ``codebook``; then train the centroids with fixed indices.

    The gradient of a centroid is the sum over the weights that it stands for. Each layer, or the
    network, has at most K values besides zero, so a payload of ``codebook:K:SCOPE`` is exact.

    Weights that are exactly zero at the start count as pruned, as on the wire, and stay zero; a
    centroid that becomes zero in training is set to 2**-149, so that its weights stay in the mask.
    """

    size: Annotated[int, Within(at_least=LEAST, at_most=MOST)] = 16  # K
    scope: Literal["layer", "network"] = "layer"  # one codebook for each array, or one for all

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Train the centroids; return a generator whose weights are their values."""
        chain = StageChain(f"codebook:{self.size}:{self.scope}")
        decoded = chain.decode_first(network_arrays(gan.generator))
        tuned = CodebookGenerator(gan.generator, decoded, shared=self.scope == "network")
        budget.train(gan, tuned)
        compressed = deepcopy(gan.generator)
        load_network_arrays(compressed, tuned.arrays())
        return compressed


class CodebookGenerator(SampleGenerator):
    """A generator whose parameters are centroids; each weight is one of them, or zero.

    ``arrays`` are weights of few values, by name; zeros are pruned. ``shared``: one codebook for
    all arrays, in place of one for each.
    """

    def __init__(
        self,
        generator: SampleGenerator,
        arrays: Mapping[str, NDArray[np.float32]],
        *,
        shared: bool,
    ) -> None:
        super().__init__()
        self.take_sizes(generator)
        self.layers = _without_parameters(generator)
        groups = [list(arrays)] if shared else [[name] for name in arrays]
        self.register_buffer("zero", torch.zeros(1), persistent=False)
        self.centroids = nn.ParameterList()
        self._places: dict[str, tuple[int, Tensor]] = {}  # of each weight: its book, and in it
        for book, names in enumerate(groups):
            values = np.concatenate([arrays[name].reshape(-1) for name in names])
            found = np.unique(values[values != 0])
            self.centroids.append(nn.Parameter(as_tensor(found)))
            for name in names:
                index = np.searchsorted(found, arrays[name])
                # The entry after the last centroid is the zero of pruned weights.
                index = np.where(arrays[name] != 0, index, len(found))
                self._places[name] = book, as_tensor(index)

    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` with the centroids as weights."""
        x_BTC: Tensor = functional_call(self.layers, self._weights(), (z_BL, y_B))
        return x_BTC

    def arrays(self) -> Arrays:
        """Return the weights; none but pruned ones are zero."""
        weights = self._weights(least=SMALLEST)
        return {name: weight.detach().cpu().numpy() for name, weight in weights.items()}

    def _weights(self, *, least: float | None = None) -> dict[str, Tensor]:
        """Look up the weights; ``least`` stands for centroids that are zero, if it is given."""
        weights = {}
        for name, (book, index) in self._places.items():
            centroids = self.centroids[book]
            if least is not None:
                centroids = centroids.masked_fill(centroids == 0, least)
            values = torch.cat([centroids, self.get_buffer("zero")])
            flat = torch.index_select(values, 0, index.to(values.device).view(-1))
            weights[name] = flat.view(index.shape)
        return weights


def _without_parameters(generator: SampleGenerator) -> SampleGenerator:
    """Return a copy with buffers instead of parameters, to be called with other tensors."""
    copy = deepcopy(generator)
    for module in copy.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())
    return copy
