"""A generator as a chain of layers whose hidden channels can be cut, merged and added.

O outputs of a layer, I inputs, P positions of its kernel, B batch, L latent, H channels, N numbers.

The networks are plain chains, so slicing their arrays takes fewer lines than adapting Torch-Pruning
to a first layer whose rows are channels times vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from numpy.typing import NDArray
from torch import Tensor, nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan.dcgan import DepthGenerator
from flwr_gan.gan.networks import Generator, SampleGenerator

_Layer = nn.Linear | nn.Conv1d | nn.ConvTranspose2d


@dataclass(frozen=True, eq=False)
class Link:
    """One layer of the chain, with a fixed order of axes.

    ``weight_OIP`` is the weight of each input in each output, at each position of the kernel.
    """

    weight_OIP: NDArray[np.float32]
    bias_O: NDArray[np.float32] | None
    norm_2O: NDArray[np.float32] | None = None  # scale and shift of the normalisation after it

    def outputs(self, kept: NDArray[np.integer]) -> "Link":
        """Return the layer with some of its outputs."""
        bias_O = None if self.bias_O is None else self.bias_O[kept]
        norm_2O = None if self.norm_2O is None else self.norm_2O[:, kept]
        return Link(self.weight_OIP[kept], bias_O, norm_2O)

    def inputs(self, kept: NDArray[np.integer]) -> "Link":
        """Return the layer with some of its inputs."""
        return replace(self, weight_OIP=self.weight_OIP[:, kept])


def channel_counts(generator: SampleGenerator) -> tuple[int, ...]:
    """Return the number of channels of each hidden layer.

    Raises ConfigError for a generator of an unknown class, like all functions here.
    """
    return tuple(len(link.weight_OIP) for link in links_of(generator)[:-1])


def narrowed(channels: Sequence[int], width: float) -> tuple[int, ...]:
    """Return a share of the channels of each hidden layer, rounded, at least one."""
    return tuple(max(1, round(width * count)) for count in channels)


def layers_of(generator: SampleGenerator) -> list[_Layer]:
    """Return the layers themselves, from the latent vector to the sample."""
    layers: list[nn.Module] = []
    if isinstance(generator, DepthGenerator):
        layers = list(generator.layers)
    elif isinstance(generator, Generator):
        layers = [generator.fc, generator.conv1, generator.conv2]
    known = [layer for layer in layers if isinstance(layer, _Layer)]
    if not layers or len(known) < len(layers):
        raise _unknown(generator)
    return known


def hidden_outputs(generator: SampleGenerator) -> list[nn.Module]:
    """Return the modules whose outputs are the inputs of each hidden layer's ReLU."""
    layers: list[nn.Module] = [*layers_of(generator)]
    return list(generator.norms) if isinstance(generator, DepthGenerator) else layers[:-1]


def norms_of(generator: SampleGenerator) -> list[nn.InstanceNorm2d]:
    """Return the normalisation after each hidden layer; empty if there is none."""
    return [m for m in hidden_outputs(generator) if isinstance(m, nn.InstanceNorm2d)]


@dataclass(eq=False)
class ChannelFactors:
    """Forward hook of one of ``hidden_outputs`` that multiplies each of its H channels."""

    factor_H: Tensor

    def __call__(self, layer: nn.Module, given: object, output: Tensor) -> Tensor:
        """Return the output with each channel times its factor."""
        # rows of a linear layer are channels times vectors
        by_channel = output.reshape(len(output), len(self.factor_H), -1)
        return (by_channel * self.factor_H[:, None]).view_as(output)


def links_of(generator: SampleGenerator) -> list[Link]:
    """Return copies of a generator's layers, from the latent vector to the sample."""
    links = []
    for layer in layers_of(generator):
        weight = layer.weight.detach().cpu()
        if isinstance(layer, nn.Linear):  # rows are channels times vectors
            weight = weight.reshape(-1, generator.num_vectors, weight.shape[1]).transpose(1, 2)
        elif isinstance(layer, nn.ConvTranspose2d):
            weight = weight.transpose(0, 1).flatten(2)
        bias = None if layer.bias is None else layer.bias.detach().cpu().numpy().copy()
        links.append(Link(np.array(weight.numpy(), dtype=np.float32, order="C"), bias))
    for at, norm in enumerate(norms_of(generator)):
        norm_2O = torch.stack([norm.weight, norm.bias]).detach().cpu().numpy()
        links[at] = replace(links[at], norm_2O=norm_2O)
    return links


def generator_from(links: Sequence[Link], like: SampleGenerator) -> SampleGenerator:
    """Return a generator of the class and sample shape of another, with the given layers.

    There must be as many links as in ``like``; they determine the channels.
    """
    generator = resized(like, [len(link.weight_OIP) for link in links[:-1]])
    with torch.no_grad():
        for layer, link in zip(layers_of(generator), links, strict=True):
            weight = torch.from_numpy(link.weight_OIP)
            if isinstance(layer, nn.Linear):
                weight = weight.transpose(1, 2).flatten(0, 1)
            elif isinstance(layer, nn.ConvTranspose2d):
                weight = weight.transpose(0, 1)
            layer.weight.copy_(weight.reshape(layer.weight.shape))
            if layer.bias is not None and link.bias_O is not None:
                layer.bias.copy_(torch.from_numpy(link.bias_O))
        for norm, link in zip(norms_of(generator), links, strict=False):
            if link.norm_2O is not None:
                norm.weight.copy_(torch.from_numpy(link.norm_2O[0]))
                norm.bias.copy_(torch.from_numpy(link.norm_2O[1]))
    return generator


def resized(like: SampleGenerator, channels: Sequence[int], *, seed: int = 0) -> SampleGenerator:
    """Return a freshly drawn generator of the class of another, with other channels."""
    if isinstance(like, DepthGenerator):
        return DepthGenerator(
            channels,
            side=like.num_vectors,
            num_channels=like.num_channels,
            num_classes=like.num_classes,
            latent_dim=like.latent_dim,
            norm=bool(norms_of(like)),
            seed=seed,
        )
    if isinstance(like, Generator):
        return Generator(
            like.num_vectors,
            like.num_components,
            like.num_classes,
            latent_dim=like.latent_dim,
            channels=channels,
            kernel_size=like.conv1.kernel_size[0],
            seed=seed,
        )
    raise _unknown(like)


def cut(generator: SampleGenerator, kept: Sequence[NDArray[np.integer]]) -> SampleGenerator:
    """Return the generator without some channels; the others keep their weights.

    Its samples are those of the full generator with these channels at zero. ``kept`` are the
    remaining channels of each hidden layer, in order.
    """
    links = links_of(generator)
    for at, channels in enumerate(kept):
        links[at] = links[at].outputs(channels)
        links[at + 1] = links[at + 1].inputs(channels)
    return generator_from(links, generator)


def with_maps(generator: SampleGenerator, z_BL: Tensor, y_B: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return samples, and the output of each hidden layer after its ReLU.

    Gradients go through, and the weights may be parametrised. Maps have shape (B, H, N): H channels
    of N numbers per sample.
    """
    maps: list[Tensor] = []

    def keep(layer: nn.Module, inputs: object, output: Tensor) -> None:
        # rows of a linear layer are channels times vectors
        size = generator.num_vectors if isinstance(layer, nn.Linear) else output[0, 0].numel()
        maps.append(F.relu(output).reshape(len(output), -1, size))

    hooks = [layer.register_forward_hook(keep) for layer in hidden_outputs(generator)]
    try:
        x_BTC: Tensor = generator(z_BL, y_B)
    finally:
        for hook in hooks:
            hook.remove()
    return x_BTC, maps


def widen(generator: SampleGenerator, channels: Sequence[int], *, seed: int = 0) -> SampleGenerator:
    """Return a generator with more channels and the same samples, up to rounding.

    New filters are drawn as in a new network, and the next layer's weights for them are initially
    zero. Copies of filters (Net2Wider; Chen et al., 2016) also keep the function, but get equal
    gradients and would stay copies. Raises ConfigError if a layer would become narrower.
    """
    before = channel_counts(generator)
    grows = [new >= old for new, old in zip(channels, before, strict=False)]
    if len(channels) != len(before) or not all(grows):
        raise ConfigError(
            f"channels={list(channels)} is not allowed: give at least {list(before)}, "
            "a generator is widened"
        )
    wide = links_of(resized(generator, channels, seed=seed))
    for new, old in zip(wide, links_of(generator), strict=True):
        outputs, inputs, _ = old.weight_OIP.shape
        new.weight_OIP[:outputs, inputs:] = 0
        new.weight_OIP[:outputs, :inputs] = old.weight_OIP
        if new.bias_O is not None and old.bias_O is not None:
            new.bias_O[:outputs] = old.bias_O
        if new.norm_2O is not None and old.norm_2O is not None:
            new.norm_2O[:, :outputs] = old.norm_2O
    return generator_from(wide, generator)


def _unknown(generator: SampleGenerator) -> ConfigError:
    return ConfigError(
        f"channels of this {type(generator).__name__} cannot be cut: "
        "give a Generator or a DepthGenerator with layers of its own"
    )
