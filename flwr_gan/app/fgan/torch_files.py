"""PyTorch files that ``fgan convert`` writes: ``.pt`` and ``.onnx``."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from flwr_gan.app.fgan.convert import optional
from flwr_gan.core.atomic import replacing, write_bytes
from flwr_gan.errors import CodecError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import as_tensor
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.inputs import is_bfloat16


def write_state_dict(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as tensors, for ``torch.load(path, weights_only=True)``.

    Raises ``CodecError`` if PyTorch has no such type.
    """
    tensors = {}
    for name, array in arrays.items():
        bfloat16 = is_bfloat16(array.dtype)
        try:
            tensor = as_tensor(array.view("<i2") if bfloat16 else array)
        except TypeError as error:
            raise CodecError(
                f"{path}: {name} is of {array.dtype}, which .pt does not have: choose .npz"
            ) from error
        tensors[name] = tensor.view(torch.bfloat16) if bfloat16 else tensor
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(tensors, file)


def write_onnx(path: Path, generator: SampleGenerator) -> None:
    """Write a generator as a graph from ``latent`` and ``label`` to ``sample``.

    ``latent`` is float32 (batch, L), ``label`` int64 (batch,), ``sample`` float32 (batch, T, C) in
    [-1, 1], for any batch size. Raises ``CodecError`` if the libraries are not installed.
    """
    for library in ("onnx", "onnxscript"):
        optional(library, what=".onnx files", extra="export")
    latent = torch.zeros(2, generator.latent_dim)
    label = torch.zeros(2, dtype=torch.int64)
    batch = {0: torch.export.Dim("batch")}
    with silent():
        # strict: otherwise only the example's batch size would be allowed
        traced = torch.export.export(
            generator, (latent, label), dynamic_shapes=(batch, batch), strict=True
        )
        program = torch.onnx.export(
            traced,
            dynamo=True,
            verbose=False,
            input_names=["latent", "label"],
            output_names=["sample"],
        )
    assert program is not None
    write_bytes(path, program.model_proto.SerializeToString())


@contextmanager
def silent() -> Iterator[None]:
    """Suppress the messages of PyTorch and torchao about their own parts and missing ones."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
