"""Other ways to code updates: our implementations of published methods, and user code.

A peer codes the weights of one array, either as differences to the receiver's arrays or directly.
"""

import gzip
import importlib
import io
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_gan.errors import CodecError

Array = NDArray[np.float32]
NNCODEC = "FLWR_GAN_NNCODEC"
GZIP_LEVEL = 8  # OpenFL has 9, which takes twice the time for 2 % fewer bytes


class Peer(ABC):
    """Encodes one array of weights as bytes, and decodes it."""

    relative = True  # codes changes instead of weights; the first broadcast is not coded
    feedback = False  # error feedback: the residual is added to the next update

    @abstractmethod
    def encode(self, array: Array) -> bytes:
        """Return the bytes of an array, float32, of two axes or more."""

    @abstractmethod
    def decode(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Return the array of this shape, float32."""


class OpenFlStc(Peer):
    """OpenFL's ``STCPipeline``: the largest values of each array, ternary, as float32 in gzip.

    After Sattler et al., "Robust and communication-efficient federated learning from non-IID data",
    2019, without its error feedback and Golomb codes. OpenFL takes the mean magnitude over all
    values, including zeros; here it is the mean over the kept values, as in the paper.

    ``share``: share of the kept values; OpenFL's default is 0.1.
    """

    def __init__(self, share: str = "0.1") -> None:
        self.share = float(share)

    def encode(self, array: Array) -> bytes:
        """Return the three values, then codes 0, 1, 2 as float32."""
        flat = array.reshape(-1)
        kept = largest(flat, self.share)
        mean = np.float32(np.abs(flat[kept]).mean())
        codes = np.ones(flat.shape, np.float32)
        codes[kept] += np.sign(flat[kept])
        return mean.tobytes() + gzip.compress(codes.tobytes(), GZIP_LEVEL)

    def decode(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Return the signed mean or 0 for each value."""
        mean = np.frombuffer(data, np.float32, 1)
        codes = np.frombuffer(gzip.decompress(data[4:]), np.float32)
        return ((codes - 1) * mean).reshape(shape)


class OpenFlKc(Peer):
    """OpenFL's ``KCPipeline``: k-means of each array, cluster indices as float32 in gzip.

    ``clusters``: number of clusters; OpenFL's default is 6.
    """

    bins, steps = 4096, 50

    def __init__(self, clusters: str = "6") -> None:
        self.clusters = int(clusters)

    def encode(self, array: Array) -> bytes:
        """Return the centres, then the cluster indices as float32."""
        flat = array.reshape(-1)
        centres = self._centres(flat)
        nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, flat)
        return centres.tobytes() + gzip.compress(nearest.astype(np.float32).tobytes(), GZIP_LEVEL)

    def decode(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Return the centre of each value's cluster."""
        head = 4 * self.clusters
        centres = np.frombuffer(data[:head], np.float32)
        nearest = np.frombuffer(gzip.decompress(data[head:]), np.float32).astype(np.intp)
        return centres[nearest].reshape(shape)

    def _centres(self, flat: Array) -> Array:
        """Return the centres by Lloyd's algorithm on a histogram, which is seconds faster."""
        counts, edges = np.histogram(flat, self.bins)
        middles = (edges[1:] + edges[:-1]) / 2
        centres = np.quantile(flat, (np.arange(self.clusters) + 0.5) / self.clusters)
        for _ in range(self.steps):
            nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, middles)
            total = np.bincount(nearest, counts, self.clusters)
            summed = np.bincount(nearest, counts * middles, self.clusters)
            centres = np.where(total > 0, summed / np.maximum(total, 1), centres)
        return centres.astype(np.float32)


class FedSz(Peer):
    """FedSZ: weights coded by SZ3 with an error bound relative to the range of each array.

    Wilkins et al., "FedSZ: leveraging error-bounded lossy compression for federated learning
    communications", 2023, which codes uploads with SZ2; here SZ3 in both directions.

    ``bound``: the paper recommends 0.01.
    """

    relative = False

    def __init__(self, bound: str = "0.01") -> None:
        self.bound = float(bound)

    def encode(self, array: Array) -> bytes:
        """Return the SZ3 encoding."""
        sz, settings = self._settings(array.size)
        coded, _ = sz.compress(np.ascontiguousarray(array.reshape(-1)), settings)
        return bytes(np.asarray(coded).tobytes())

    def decode(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Return the array within the error bound."""
        size = int(np.prod(shape))
        sz, _ = self._settings(size)
        found, _ = sz.decompress(np.frombuffer(data, np.uint8), np.float32, (size,))
        return np.asarray(found, np.float32).reshape(shape)

    def _settings(self, size: int) -> tuple[Any, Any]:
        try:
            pysz = importlib.import_module("pysz")
        except ModuleNotFoundError as error:
            raise CodecError("fedsz needs pysz: pip install flwr-gan[bench]") from error
        settings = pysz.szConfig(size)
        settings.errorBoundMode = pysz.szErrorBoundMode.REL
        settings.relErrorBound = self.bound
        return pysz.sz, settings


class TopKNpz(Peer):
    """User code of ten lines: the largest changes as indices and values, in an npz.

    With error feedback as in Stich et al., "Sparsified SGD with memory", 2018.

    ``share``: share of the changes of each array.
    """

    feedback = True

    def __init__(self, share: str = "0.01") -> None:
        self.share = float(share)

    def encode(self, array: Array) -> bytes:
        """Return indices as int32 and values as float32, deflated."""
        flat = array.reshape(-1)
        kept = np.sort(largest(flat, self.share)).astype(np.int32)
        written = io.BytesIO()
        np.savez_compressed(written, places=kept, values=flat[kept])
        return written.getvalue()

    def decode(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Return the values at their indices, and 0 elsewhere."""
        found = np.zeros(int(np.prod(shape)), np.float32)
        with np.load(io.BytesIO(data)) as file:
            found[file["places"]] = file["values"]
        return found.reshape(shape)


class NnCodec(Peer):
    """nncodec: DeepCABAC on changes, with its own sparsification, in a separate Python.

    Becking et al., "NNCodec: an open source software implementation of the neural network coding
    ISO/IEC standard", 2023. 4 bits, dependent quantisation and structured sparsity 0.9, as in the
    examples of the package. ``FLWR_GAN_NNCODEC`` names the Python that has nncodec, with numpy
    below version 2.

    ``sparsity``: of the changes, as nncodec defines it; 0.8 in its federated example.
    """

    def __init__(self, sparsity: str = "0.8") -> None:
        self.sparsity = float(sparsity)

    def encode(self, array: Array) -> bytes:
        """Return nncodec's bitstream."""
        written = io.BytesIO()
        np.save(written, array)
        return self._ask(b"e", written.getvalue())

    def decode(self, data: bytes, shape: tuple[int, ...]) -> Array:
        """Return the changes of a bitstream."""
        found = np.load(io.BytesIO(self._ask(b"d", data)), allow_pickle=False)
        return np.asarray(found, np.float32).reshape(shape)

    @cached_property
    def _worker(self) -> "subprocess.Popen[bytes]":
        python = os.environ.get(NNCODEC)
        if python is None:
            raise CodecError(
                f"nncodec needs a Python with numpy < 2: python -m venv DIR, then DIR/bin/pip "
                f"install nncodec 'numpy<2', and {NNCODEC}=DIR/bin/python"
            )
        program = [python, str(Path(__file__).with_name("nncodec_worker.py")), str(self.sparsity)]
        pipe = subprocess.PIPE
        return subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)

    def _ask(self, kind: bytes, data: bytes) -> bytes:
        worker = self._worker
        assert worker.stdin is not None
        assert worker.stdout is not None
        length = b""
        with suppress(BrokenPipeError):
            worker.stdin.write(kind + len(data).to_bytes(8, "little") + data)
            worker.stdin.flush()
            length = worker.stdout.read(8)
        if len(length) < 8:
            worker.communicate()
            raise CodecError(f"nncodec ended: see what {worker.args!r} says")
        return worker.stdout.read(int.from_bytes(length, "little"))


PEERS: dict[str, Callable[..., Peer]] = {
    "openfl_stc": OpenFlStc,
    "openfl_kc": OpenFlKc,
    "fedsz": FedSz,
    "topk_npz": TopKNpz,
    "nncodec": NnCodec,
}


def get_peer(spec: str) -> Peer:
    """Return the peer of ``NAME`` or ``NAME:SETTING``."""
    name, *setting = spec.split(":")
    if name not in PEERS:
        raise CodecError(f"peer {name!r} is unknown: allowed are {', '.join(PEERS)}")
    try:
        return PEERS[name](*setting)
    except (TypeError, ValueError) as error:
        raise CodecError(f"peer {spec!r}: {error}; allowed is {name}:NUMBER") from error


def is_peer(spec: str) -> bool:
    """Return whether a spec names a peer instead of a codec."""
    return spec.split(":")[0] in PEERS


def largest(flat: Array, share: float) -> NDArray[np.intp]:
    """Return the indices of the largest magnitudes, a share of all but at least one."""
    count = max(1, round(share * len(flat)))
    return np.argpartition(np.abs(flat), len(flat) - count)[len(flat) - count :]
