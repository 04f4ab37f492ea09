"""``fgan quantise``: a run's classifier with dynamic int8 inference (paper 001, Alg. 2).

Each layer's weights become int8 with one scale per output; the inputs of a layer are quantised to
int8 at run time with one scale per sample; products are summed in int32. The quantised layers are
torchao's ``Int8DynamicActivationInt8WeightConfig``, because ``torch.ao.quantization`` is
deprecated.
"""

import io
import os
import timeit
from copy import deepcopy
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from torch import Tensor, nn

from flwr_gan.app.classifier.federation import ClassifierFederation
from flwr_gan.app.classifier.network import measure
from flwr_gan.app.config import load_file
from flwr_gan.app.federation import federation_of
from flwr_gan.app.fgan.convert import optional
from flwr_gan.app.fgan.torch_files import silent
from flwr_gan.core.atomic import write_bytes, write_text
from flwr_gan.errors import ConfigError
from flwr_gan.gan import load_network_arrays, torch_threads
from flwr_gan.wire import DEFAULT_MAX_BYTES, load

BATCHES = (1, 256)
"""Batch sizes for measuring the network's delay."""
REPEATS = 51


def quantise(folder: str | os.PathLike[str], *, max_bytes: int = DEFAULT_MAX_BYTES) -> pd.DataFrame:
    """Quantise the classifier of a run; compare it with float32 on the run's test data.

    Returns one row each for float32 and int8: bytes of the file, accuracy, cross entropy, and the
    delay in milliseconds (median of 51) for batches of 1 and 256 samples. The rows are written to
    ``int8.csv`` in the folder of the run, and the quantised network's state dict to
    ``classifiers/int8.pt``.

    Raises ``ConfigError`` if the run has no classifier, ``CodecError`` without torchao, and the
    errors of ``load``.
    """
    folder = Path(folder)
    federation = federation_of(load_file(folder / "config.yaml").to_yaml())
    if not isinstance(federation, ClassifierFederation):
        raise ConfigError(f"{folder} holds a GAN: give the folder of a run with classifier=simple")
    network = federation.initial()
    places = folder / federation.models
    load_network_arrays(network, load(places / "global.fgan", max_bytes=max_bytes))
    networks = {"float32": network.eval(), "int8": int8(network)}
    x_NI, y_N = federation.tensors(federation.dataset.test)
    rows = []
    with torch_threads(1), torch.no_grad():
        for name, found in networks.items():
            content = io.BytesIO()
            torch.save(found.state_dict(), content)
            write_bytes(places / f"{name}.pt", content.getvalue())
            accuracy, loss = measure(found, x_NI, y_N)
            row = {"weights": name, "bytes": len(content.getvalue())}
            row |= {"test_accuracy": accuracy, "test_loss": loss}
            rows.append(row | {f"delay_{n}_ms": delay_ms(found, x_NI[:n]) for n in BATCHES})
    table = pd.DataFrame(rows)
    write_text(folder / "int8.csv", table.to_csv(index=False))
    return table


def int8(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose linear layers compute in int8.

    Raises ``CodecError`` if torchao is not installed.
    """
    with silent():
        quantization = optional("torchao.quantization", what="int8 layers", extra="quantise")
        found = deepcopy(network).eval()
        quantization.quantize_(found, quantization.Int8DynamicActivationInt8WeightConfig())
    return found


def delay_ms(network: nn.Module, x_BI: Tensor, *, repeats: int = REPEATS) -> float:
    """Return a network's median time for a batch after a warm-up, in milliseconds."""
    network(x_BI)
    return 1000 * median(timeit.repeat(lambda: network(x_BI), number=1, repeat=repeats))
