"""The clients' raw data as bytes: what would travel if data were sent instead of generators.

N samples, T vectors, C components.
"""

from collections.abc import Callable

import numpy as np
import zstandard
from numpy.typing import NDArray

from flwr_gan.app.federation import Federation
from flwr_gan.data import Samples
from flwr_gan.data.pendigits import FILES, parse_unipen
from flwr_gan.data.sources import read_source

ZSTD_LEVEL = 19
INT8_SCALE = 127


def float32_bytes(samples: Samples) -> bytes:
    """Return the vectors as float32 and the labels as one byte each, as the trainer reads them."""
    return samples.x_NTC.tobytes() + samples.y_N.astype(np.uint8).tobytes()


def int8_bytes(samples: Samples) -> bytes:
    """Return the vectors as int8 steps of 1/127 and the labels as one byte each.

    Lossy by half a step. One component of all samples stands after the other, which zstd codes
    better than sample after sample.
    """
    x_TCN = int8_vectors(samples.x_NTC).transpose(1, 2, 0)
    return np.ascontiguousarray(x_TCN).tobytes() + samples.y_N.astype(np.uint8).tobytes()


def int8_vectors(x_NTC: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the vectors in steps of 1/127."""
    return np.round(x_NTC * INT8_SCALE).astype(np.int8)


def affordable(samples: Samples, most_bytes: int, rng: np.random.Generator) -> Samples:
    """Return as many random samples as fit into so many bytes as int8 under zstd."""
    order = rng.permutation(len(samples))
    fits, too_many = 0, len(samples) + 1
    while too_many - fits > 1:  # the size grows with the number, give or take a byte or two
        count = (fits + too_many) // 2
        if zstd_bytes(int8_bytes(samples.take(order[:count]))) <= most_bytes:
            fits = count
        else:
            too_many = count
    return samples.take(order[:fits])


def zstd_bytes(data: bytes) -> int:
    """Return the length of the data under zstd at level 19."""
    return len(zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data))


def pen_bytes(federation: Federation) -> Callable[[int], bytes] | None:
    """Return a function from a client to its recorded pen trajectories, None where unknown.

    Only ``pendigits`` has them: the tablet's integer coordinates before they are resampled to T
    vectors, as int16, each stroke after its number of points, and the labels as one byte each.
    """
    if federation.dataset.name != "pendigits":
        return None
    name = FILES["train"].path
    drawings, y_N, _ = parse_unipen(read_source(FILES["train"]), name=name)

    def of_client(client: int) -> bytes:
        parts = []
        for i in federation.split[client]:
            for stroke in drawings[i]:
                parts.append(np.uint16(len(stroke)).tobytes())
                parts.append(np.asarray(stroke).astype(np.int16).tobytes())
        return b"".join(parts) + y_N[federation.split[client]].astype(np.uint8).tobytes()

    return of_client


def stored_sizes(federation: Federation) -> list[dict[str, int]]:
    """Return, for each client, the bytes of its data in each form, raw and under zstd."""
    pen = pen_bytes(federation)
    rows = []
    for client in range(len(federation.split)):
        samples = federation.samples_of(client)
        forms = {"float32": float32_bytes(samples), "int8": int8_bytes(samples)}
        if pen is not None:
            forms["pen"] = pen(client)
        rows.append(
            {
                f"data_{form}{ending}_bytes": size
                for form, data in forms.items()
                for ending, size in (("", len(data)), ("_zstd", zstd_bytes(data)))
            }
        )
    return rows
