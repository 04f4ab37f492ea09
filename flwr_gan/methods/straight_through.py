"""Training under a stage: forward with decoded weights, straight-through gradients.

Methods with low precision in the survey of GAN compression use the straight-through estimator
(Bengio et al., 2013): TGAN with ternary weights, ApGAN with binary ones, Flexpoint.

B batch, L latent.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn
from torch.func import functional_call

from flwr_gan.core.settings import Count, Within
from flwr_gan.errors import CodecError, TrainingError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import as_tensor, load_network_arrays, network_arrays
from flwr_gan.methods.base import Budget, Method, TrainedGan
from flwr_gan.methods.chain import hidden_outputs
from flwr_gan.methods.decoded import StageChain
from flwr_gan.prune.magnitude import kept_weights


@dataclass(frozen=True, eq=False, kw_only=True)
class StraightThrough(Method):
    """Adversarial training in which each forward pass uses the weights decoded by a stage.

    Float weights are kept separately and get the gradient of the decoded ones. Scales, centroids
    and other side numbers are computed from them again each time. The result has the decoded
    weights, so coding it with the same stage has no further loss: exactly none for ``ternary``,
    ``binary``, ``codebook``, ``cast``, ``flexpoint`` and ``prune``; for ``quantize`` and
    ``lowrank`` rounding to float32, below 2**-20 of the largest weight of a layer (with ``em`` if
    its outermost codes are in use, as they are when it clips the largest weights).

    Weights that are exactly zero at the start count as pruned, as on the wire, and stay zero.
    """

    # one stage, or several joined by +, as in a codec spec without its codec:
    # quantize:int4:channel, ternary, prune:magnitude:0.8+quantize:int4
    stage: str
    # generator updates after which the weights are decoded again, for slow stages; in between,
    # forward passes use the last decoded weights, and the float weights are trained
    refresh_every: Count = 1
    # stage for training the critic: QGAN has a separate precision for each network, TGAN the same
    # for both; its gradients are always computed by autograd
    critic: str | None = None
    # bits of each hidden layer's output after its ReLU (GAN slimming): whole multiples of a scale,
    # the largest number of each sample and layer divided by 2**bits - 1. The result and ``student``
    # compute with them; a generator built from a weights file has float activations
    activations: Annotated[int, Within(at_least=1, at_most=8)] | None = None

    @cached_property
    def _chain(self) -> StageChain:
        return StageChain(self.stage)

    @cached_property
    def _critic_chain(self) -> StageChain | None:
        return None if self.critic is None else StageChain(self.critic, key="critic")

    def __post_init__(self) -> None:
        _ = self._chain, self._critic_chain  # raises for an invalid stage
        super().__post_init__()

    def student(self, generator: SampleGenerator) -> SampleGenerator:
        """Return a copy of the generator that computes with quantised activations."""
        copy = deepcopy(generator)
        if self.activations is not None:
            for layer in hidden_outputs(copy):
                layer.register_forward_hook(_Quantised(self.activations))
        return copy

    def _compress(self, gan: TrainedGan, budget: Budget) -> SampleGenerator:
        """Train under the stage; return a generator of the decoded weights.

        Raises ConfigError or TrainingError if the first or the trained weights cannot be coded.
        """
        arrays = network_arrays(gan.generator)
        self._chain.decode_first(arrays)
        student = self.student(gan.generator)
        seen = DecodedGenerator(student, self._chain, refresh_every=self.refresh_every)
        kept = {f"floats.{name}": layer for name, layer in kept_weights(arrays).items()}
        mask = None if all(k.all() for k in kept.values()) else kept
        critic = None
        if self._critic_chain is not None:
            self._critic_chain.decode_first(network_arrays(gan.critic))
            critic = DecodedNetwork(
                gan.critic, self._critic_chain, refresh_every=self.refresh_every
            )
            gan = replace(gan, config=replace(gan.config, critic_gradients="autograd"))
        budget.train(gan, seen, mask=mask, critic=critic)
        load_network_arrays(student, {n: t.cpu().numpy() for n, t in seen.decoded().items()})
        return student


class DecodedNetwork(nn.Module):
    """A network that computes with decoded weights; its parameters are the float weights.

    They are decoded again after ``refresh_every`` updates.
    """

    def __init__(self, network: nn.Module, chain: StageChain, *, refresh_every: int = 1) -> None:
        super().__init__()
        self.floats = deepcopy(network)
        self._chain = chain
        self._refresh_every = refresh_every
        self._updates = 0
        self._known: list[Tensor] = []
        self._decoded: dict[str, Tensor] = {}

    def forward(self, *given: Tensor) -> Tensor:
        """Compute the network with the decoded weights."""
        self._refresh()
        weights = {
            # the value is the decoded weight, as w - w is exactly zero; the gradient is that of w
            name: self._decoded[name] + (weight - weight.detach())
            for name, weight in self.floats.named_parameters()
        }
        result: Tensor = functional_call(self.floats, weights, given)
        return result

    def decoded(self) -> dict[str, Tensor]:
        """Return the current decoded weights, by their names in the network."""
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


class DecodedGenerator(DecodedNetwork, SampleGenerator):
    """A generator that computes with decoded weights."""

    def __init__(
        self, generator: SampleGenerator, chain: StageChain, *, refresh_every: int = 1
    ) -> None:
        super().__init__(generator, chain, refresh_every=refresh_every)
        self.take_sizes(generator)


@dataclass(frozen=True)
class _Quantised:
    """Layer hook that quantises the ReLU's output to some bits; gradients pass through."""

    bits: int

    def __call__(self, layer: nn.Module, given: object, output: Tensor) -> Tensor:
        active = F.relu(output)
        largest = (1 << self.bits) - 1
        with torch.no_grad():
            peak_B = active.flatten(1).amax(1).clamp_min(torch.finfo(active.dtype).tiny * largest)
        zero_B = torch.zeros(len(active), dtype=torch.int32, device=active.device)
        return torch.fake_quantize_per_channel_affine(
            active, peak_B / largest, zero_B, axis=0, quant_min=0, quant_max=largest
        )
