"""Loading of a trained generator from its payload file.

A payload holds names, shapes and weights. Shapes do not show where the latent vector ends and the
class begins, how to draw a sample, or the names of the classes: these are in ``generator.json`` in
the same folder.

L latent, K classes, T vectors, C components, H channels.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.atomic import write_text
from flwr_gan.core.settings import Count, Settings
from flwr_gan.data.dataset import Kind
from flwr_gan.errors import ConfigError, DataError, OutputError, PayloadError
from flwr_gan.gan import Generator, load_network_arrays, network_arrays
from flwr_gan.gan.dcgan import KERNEL, SIDES, DepthGenerator
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.methods.factored import with_ranks
from flwr_gan.wire import DEFAULT_MAX_BYTES, load

if TYPE_CHECKING:
    from flwr_gan.app.federation import Federation

INFO_FILE = "generator.json"
_LAYERS = ("fc", "conv1", "conv2")
_IN_A_RUN = ("generators/student.fgan", "generators/global.fgan")

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class GeneratorInfo(Settings):
    """Description of a generator, besides its weights."""

    latent_dim: Count  # L
    classes: tuple[str, ...]  # their names, in the order of the labels
    kind: Kind  # how to draw a sample
    arrays: tuple[str, ...]  # names of the weights in order; uploads have numbers instead

    @classmethod
    def of(cls, federation: "Federation") -> "GeneratorInfo":
        """Return the description of the generators of a federation."""
        data, gan = federation.dataset, federation.config.gan
        return cls(
            latent_dim=gan.latent_dim,
            classes=data.class_names if gan.conditional else ("any",),
            kind=data.kind,
            arrays=tuple(network_arrays(federation.delivered())),
        )

    def write(self, folder: Path) -> None:
        """Write ``generator.json`` into the folder of the payload files."""
        write_text(folder / INFO_FILE, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def beside(cls, path: Path) -> "GeneratorInfo":
        """Return the content of ``generator.json`` in the folder of a payload file.

        Raises ``OutputError`` if it is missing, and ``DataError`` if it is damaged.
        """
        place = path.parent / INFO_FILE
        try:
            given = json.loads(place.read_bytes())
        except OSError as error:
            raise OutputError(
                f"{place} cannot be read: {error.strerror}; it says what {path.name} does not: "
                "copy it from the folder of the run, where both were written"
            ) from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} is no JSON: {error}; copy it again") from error
        needed = [field.name for field in fields(cls)]
        if not isinstance(given, dict) or sorted(given) != sorted(needed):
            raise DataError(f"{place} is damaged: the keys {', '.join(needed)} are expected")
        try:
            return cls(**given)
        except ConfigError as error:
            raise DataError(f"{place}: {error}") from error


def load_generator(
    path: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES
) -> SampleGenerator:
    """Return the generator of a ``.fgan`` file, ready for ``flwr_gan.gan.sample``.

    Parameters
    ----------
    path : path-like
        The file, with ``generator.json`` in the same folder; or the folder of a run, whose student
        is taken, or without one its global generator.
    max_bytes : int
        Maximum total bytes of its weights.

    Raises
    ------
    ConfigError
        If the file is no ``.fgan`` file.
    PayloadError
        If it is damaged, or its weights have more than `max_bytes`.
    DataError
        If its arrays are not those of a generator, or ``generator.json`` does not fit them.
    OutputError
        If a file is missing or cannot be read.
    """
    file = generator_path(path)
    arrays = load(file, max_bytes=max_bytes)
    return generator_of(arrays, file, max_bytes=max_bytes)


def generator_path(path: str | os.PathLike[str]) -> Path:
    """Return the payload file for a path: the file itself, or the generator in a run's folder."""
    path = Path(path)
    if path.is_dir():
        for name in _IN_A_RUN:
            if (path / name).is_file():
                return path / name
        raise OutputError(f"{path} has no {' and no '.join(_IN_A_RUN)}: name a .fgan file")
    if path.suffix.lower() != ".fgan":
        raise ConfigError(
            f"{path}: unknown format {path.suffix!r}; give a .fgan file, or the folder of a run"
        )
    return path


def generator_of(
    arrays: Mapping[str, NDArray[Any]], file: Path, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> SampleGenerator:
    """Return the generator for these arrays from a file.

    Raises ``DataError`` if they are not those of a generator or do not fit ``generator.json`` in
    the file's folder, ``OutputError`` if that is missing, and ``PayloadError`` if the weights would
    take more than `max_bytes`.
    """
    info = GeneratorInfo.beside(file)
    if list(arrays) == [str(number) for number in range(len(arrays))]:
        # an upload; for a pool, the client's class counts follow the weights
        arrays = dict(zip(info.arrays, arrays.values(), strict=False))
    try:
        _check_values(arrays)
        shapes = {name: array.shape for name, array in arrays.items()}
        build = _image_generator if any(n.startswith("layers.") for n in shapes) else _generator
        generator = build(shapes, info, max_bytes)
        load_network_arrays(generator, arrays)
    except (DataError, PayloadError) as error:
        raise type(error)(f"{file}: {error}") from error
    return generator.eval()


def _generator(shapes: Shapes, info: GeneratorInfo, max_bytes: int) -> SampleGenerator:
    """Return a generator of vectors with layers of these shapes, or raise DataError."""
    (features, inputs), (narrow, wide, kernel), (components, _, _) = _layer_shapes(shapes)
    _check_sizes(
        info,
        inputs=inputs,
        expected=info.latent_dim + len(info.classes),
        weights=features * inputs + kernel * narrow * (wide + components),
        max_bytes=max_bytes,
    )
    generator = Generator(
        features // wide,
        components,
        len(info.classes),
        latent_dim=info.latent_dim,
        channels=(wide, narrow),
        kernel_size=kernel,
    )
    return with_ranks(generator, _ranks(shapes, _LAYERS))


def _image_generator(shapes: Shapes, info: GeneratorInfo, max_bytes: int) -> SampleGenerator:
    """Return a generator of images with layers of these shapes, or raise DataError."""
    names = [f"layers.{at}" for at in range(len({n.split(".")[1] for n in shapes if "." in n}))]
    found = [_whole_shape(name, shapes, names, transposed=True) for name in names]
    square = all(len(shape) == 4 and shape[2] == shape[3] and 0 not in shape for shape in found)
    side = found[0][2] << (len(found) - 1) if square else 0
    follow = square and all(a[1] == b[0] and b[2] == KERNEL for a, b in pairwise(found))
    if side not in SIDES or not follow:
        raise DataError(
            "the layers of a generator of images have the shapes (L+K, H1, k, k), (H1, H2, 4, 4) "
            f"and so on, for {', '.join(map(str, SIDES))} rows; these have "
            f"{', '.join(map(str, found))}"
        )
    conditional = len(info.classes) if len(info.classes) > 1 else 0
    _check_sizes(
        info,
        inputs=found[0][0],
        expected=info.latent_dim + conditional,
        weights=sum(into * out * kernel**2 + 3 * out for into, out, kernel, _ in found),
        max_bytes=max_bytes,
    )
    generator = DepthGenerator(
        [shape[1] for shape in found[:-1]],
        side=side,
        num_channels=found[-1][1],
        num_classes=len(info.classes),
        latent_dim=info.latent_dim,
        norm=any(name.startswith("norms.") for name in shapes),
    )
    return with_ranks(generator, _ranks(shapes, names))


def _check_sizes(
    info: GeneratorInfo, *, inputs: int, expected: int, weights: int, max_bytes: int
) -> None:
    """Raise unless the first layer fits ``generator.json`` and the weights the limit."""
    if inputs != expected:
        latent, classes = info.latent_dim, len(info.classes)
        raise DataError(
            f"its first layer takes {inputs} numbers, and {INFO_FILE} says {latent} latent "
            f"ones and {classes} classes: copy the {INFO_FILE} of the same run"
        )
    size = 4 * (weights + len(info.classes) ** 2)
    if size > max_bytes:
        raise PayloadError(f"its weights take {size} bytes; the limit is {max_bytes}")


def _ranks(shapes: Shapes, layers: Iterable[str]) -> dict[str, int]:
    """Return the ranks of the factored layers."""
    down = ((name, shapes.get(f"{name}.down.weight")) for name in layers)
    return {name: shape[0] for name, shape in down if shape}


def _check_values(arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise DataError(f"array {name!r} is of {array.dtype}: weights are float32")
        if not np.isfinite(array).all():
            raise DataError(f"array {name!r} holds values that are not finite")


def _layer_shapes(shapes: Shapes) -> list[tuple[int, ...]]:
    """Return the shapes of the three layers, or raise DataError if they do not fit each other."""
    found = [_whole_shape(name, shapes, _LAYERS) for name in _LAYERS]
    match found:
        case [(features, inputs), (narrow, wide, kernel), (components, into, again)]:
            positive = all((features, inputs, narrow, wide, kernel, components))
            fits = (into, again) == (narrow, kernel) and kernel % 2 == 1
            if positive and fits and features % wide == 0:
                return found
    raise DataError(
        "the layers of a generator have the shapes (H1*T, L+K), (H2, H1, k) and (C, H2, k) with an "
        f"odd k; these have {', '.join(map(str, found))}"
    )


def _whole_shape(
    name: str, shapes: Shapes, layers: Sequence[str], *, transposed: bool = False
) -> tuple[int, ...]:
    """Return the shape of a layer's weight, or of the product of its two factors.

    Inputs come first in a transposed convolution.
    """
    if f"{name}.weight" in shapes:
        return shapes[f"{name}.weight"]
    down, up = shapes.get(f"{name}.down.weight", ()), shapes.get(f"{name}.up.weight", ())
    if not down or not up:
        raise DataError(f"array '{name}.weight' is missing: a generator has {', '.join(layers)}")
    if down[:1] != (up[:1] if transposed else up[1:2]):
        raise DataError(f"the two factors of {name} have shapes {down} and {up}")
    return (*down[1:2], *up[1:]) if transposed else (up[0], *down[1:])
