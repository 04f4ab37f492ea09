"""Maps of the hidden layers of student and teacher, and what makes them comparable.

B batch, L latent, N numbers of a channel; S and H channels of student and teacher.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name that PyTorch code gives it
from torch import Tensor, nn

from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator, initialise


def with_maps(
    generator: SampleGenerator, z_BL: Tensor, y_B: Tensor, wanted: bool
) -> tuple[Tensor, list[Tensor]]:
    """Return samples and, where wanted, what each hidden layer gives after its ReLU.

    Gradients go through, and the weights may be parametrised.

    Parameters
    ----------
    generator : SampleGenerator
        Not changed.
    z_BL, y_B : Tensor
        Latent vectors and int64 labels.
    wanted : bool
        False: no maps.

    Returns
    -------
    x_BTC : Tensor
    maps : list of Tensor, shape (B, channels, N)
    """
    maps: list[Tensor] = []

    def keep(layer: nn.Module, inputs: object, output: Tensor) -> None:
        # rows of a linear layer are channels times vectors
        size = generator.num_vectors if isinstance(layer, nn.Linear) else output[0, 0].numel()
        maps.append(F.relu(output).reshape(len(output), -1, size))

    layers = _hidden_layers(generator) if wanted else []
    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        x_BTC: Tensor = generator(z_BL, y_B)
    finally:
        for hook in hooks:
            hook.remove()
    return x_BTC, maps


def _hidden_layers(generator: SampleGenerator) -> Sequence[nn.Module]:
    kinds = (nn.Linear, nn.Conv1d, nn.ConvTranspose2d)
    return [layer for layer in generator.modules() if isinstance(layer, kinds)][:-1]


def new_mappings(
    student: SampleGenerator, teacher: SampleGenerator, rng: torch.Generator
) -> nn.ModuleList:
    """Return for each hidden layer a map of each number's S channels to H, to be trained.

    Parameters
    ----------
    student, teacher : SampleGenerator
        Their layers must match one by one, but for the channels.
    rng : torch.Generator
        Draws the seed of the weights; advances.

    Raises
    ------
    ConfigError
        If the layers do not match.
    """
    device = next(student.parameters()).device
    z_BL = torch.zeros(1, student.latent_dim, device=device)
    y_B = torch.zeros(1, dtype=torch.int64, device=device)
    with torch.no_grad():
        small_maps, large_maps = (
            with_maps(generator, z_BL, y_B, wanted=True)[1] for generator in (student, teacher)
        )
    if [maps.shape[2] for maps in small_maps] != [maps.shape[2] for maps in large_maps]:
        raise ConfigError(
            "method.losses.features needs a student whose layers match the teacher's one by one: "
            f"a {type(student).__name__} and a {type(teacher).__name__} do not"
        )
    seed = int(torch.randint(2**62, (), generator=rng, device=rng.device))
    with torch.device("meta"):  # PyTorch's own initialisation draws from the global state
        mappings = nn.ModuleList(
            nn.Conv1d(small.shape[1], large.shape[1], 1)
            for small, large in zip(small_maps, large_maps, strict=True)
        )
    mappings.to_empty(device="cpu")
    initialise(mappings, seed)
    return mappings.to(device)
