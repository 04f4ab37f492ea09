"""Training under a stage: the generator computes with decoded weights, the gradient passes through.

The straight-through estimator (Bengio et al., 2013) is what trains below full precision in the
survey of GAN compression: TGAN with ternary weights, ApGAN with binary ones, Flexpoint.

B batch, L latent.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from flwr_gan.core.settings import Count
from flwr_gan.errors import CodecError, TrainingError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import as_tensor, load_network_arrays, network_arrays
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.decoded import StageChain
from flwr_gan.prune.magnitude import kept_weights


@dataclass(frozen=True, eq=False, kw_only=True)
class StraightThrough(Method):
    """Adversarial training in which each forward pass sees the weights as a stage decodes them.

    Float weights are kept beside and take the gradient of the decoded ones as their own. Scales,
    centroids and other side numbers are measured from them again each time. What comes out has the
    decoded weights, so coding it with the same stage loses nothing more: exactly nothing for
    ``ternary``, ``binary``, ``codebook``, ``cast``, ``flexpoint`` and ``prune``; for ``quantize``
    and ``lowrank`` rounding to float32, below 2**-20 of the largest weight of a layer (with ``em``
    as long as its outermost codes are in use, as they are where it cuts off the largest weights).

    Weights that are exactly zero at the start count as pruned, as on the wire, and stay zero.

    Parameters
    ----------
    stage : str
        One stage, or several joined by ``+``, as in a codec spec without its codec:
        ``"quantize:int4:channel"``, ``"ternary"``, ``"prune:magnitude:0.8+quantize:int4"``.
    refresh_every : int
        Generator updates after which the weights are decoded again, for stages that are slow
        to measure. In between the forward passes see the last ones, and the float weights go on.
    """

    stage: str
    refresh_every: Count = 1

    @cached_property
    def _chain(self) -> StageChain:
        return StageChain(self.stage)

    def __post_init__(self) -> None:
        _ = self._chain  # refuses what is no stage
        super().__post_init__()

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Train under the stage; return a generator of the decoded weights.

        Raises ConfigError or TrainingError if the first or the trained weights cannot be coded.
        """
        arrays = network_arrays(gan.generator)
        self._chain.decode_first(arrays)
        seen = DecodedGenerator(gan.generator, self._chain, refresh_every=self.refresh_every)
        kept = {f"floats.{name}": layer for name, layer in kept_weights(arrays).items()}
        mask = None if all(k.all() for k in kept.values()) else kept
        budget.train(gan, seen, mask=mask)
        compressed = deepcopy(gan.generator)
        load_network_arrays(compressed, {n: t.cpu().numpy() for n, t in seen.decoded().items()})
        return compressed


class DecodedGenerator(SampleGenerator):
    """A generator that computes with decoded weights; its parameters are the float weights.

    They are decoded again after ``refresh_every`` updates.
    """

    def __init__(
        self, generator: SampleGenerator, chain: StageChain, *, refresh_every: int = 1
    ) -> None:
        super().__init__()
        self.take_sizes(generator)
        self.floats = deepcopy(generator)
        self._chain = chain
        self._refresh_every = refresh_every
        self._updates = 0
        self._known: list[Tensor] = []
        self._decoded: dict[str, Tensor] = {}

    def forward(self, z_BL: Tensor, y_B: Tensor) -> Tensor:
        """Generate ``x_BTC`` with the decoded weights."""
        self._refresh()
        weights = {
            name: _straight_through(weight, self._decoded[name])
            for name, weight in self.floats.named_parameters()
        }
        x_BTC: Tensor = functional_call(self.floats, weights, (z_BL, y_B))
        return x_BTC

    def decoded(self) -> dict[str, Tensor]:
        """Return the weights as they decode now, by their names in the generator."""
        self._decode()
        return self._decoded

    def _refresh(self) -> None:
        """Decode again if the weights have been updated often enough since the last time."""
        now = [weight.detach() for weight in self.floats.parameters()]
        if self._known and all(map(torch.equal, now, self._known)):
            return
        self._known = [weight.clone() for weight in now]
        if self._updates % self._refresh_every == 0:
            self._decode()
        self._updates += 1

    def _decode(self) -> None:
        try:
            decoded = self._chain.decode(network_arrays(self.floats))
        except CodecError as error:
            raise TrainingError(
                f"the weights cannot be coded any more: {error}; "
                "lower the learning rates of the gan settings"
            ) from error
        self._decoded = {
            name: as_tensor(decoded[name]).to(weight.device)
            for name, weight in self.floats.named_parameters()
        }


class _StraightThrough(torch.autograd.Function):
    """The decoded weight forwards, the identity backwards."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, decoded: Tensor) -> Tensor:
        return decoded.view_as(decoded)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


def _straight_through(weight: Tensor, decoded: Tensor) -> Tensor:
    seen: Tensor = _StraightThrough.apply(weight, decoded)  # type: ignore[no-untyped-call]
    return seen
