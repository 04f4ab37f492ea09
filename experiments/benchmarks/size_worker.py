"""One measurement of ``wire_at_size`` in a separate process: the cost of one way.

``python size_worker.py ARRAYS.npz WAY REPEATS`` prints a JSON object. It needs only
``flwr_gan.wire`` of this project, so that ``PYTHONPATH`` may name another checkout. ``WAY`` is
``flwr_gan SPEC [THREADS]``, ``numpy SPEC`` (the same without numba), ``zipnn TYPE``,
``blosc2 ITEMSIZE``, ``zstd LEVEL``, ``int8+zstd LEVEL`` or ``sz3`` (with the error bounds of
``int8+zstd``). Here lossy codecs code all arrays, including biases, like the peers.

Seconds are medians of processor time, or of wall time with several threads. Memory is the increase
of the process's peak in bytes, from Linux; NaN on other systems.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Way = tuple[Callable[[], Any], Callable[[Any], dict[str, Array]], Callable[[Any], int]]


def main() -> None:
    """Measure and print."""
    path, way, repeats = sys.argv[1:]
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name, *options = way.split()
    encode, decode, length = _WAYS[name](arrays, *options)
    clock = time.perf_counter if name == "flwr_gan" and len(options) > 1 else time.process_time
    warm = encode()  # warm-up: imports, compiled loops, and memory that is kept
    decoded = decode(warm)
    error = max(_error(array, decoded[key]) for key, array in arrays.items() if array.ndim > 1)
    del decoded, warm
    encode_s, coded, encode_peak = _measured(encode, int(repeats), clock)
    decode_s, _, decode_peak = _measured(lambda: decode(coded), int(repeats), clock)
    print(
        json.dumps(
            {
                "bytes": length(coded),
                "encode_s": encode_s,
                "decode_s": decode_s,
                "largest_error": error,
                "encode_peak": encode_peak,
                "decode_peak": decode_peak,
            }
        )
    )


def _measured(job: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> Any:
    """Return the median of the seconds, a result, and the peak memory of the first run."""
    seconds, result, peak = [], None, math.nan
    for number in range(repeats):
        result = None
        before = _reset_peak() if not number else math.nan
        began = clock()
        result = job()
        seconds.append(clock() - began)
        if not number:
            peak = _memory("VmHWM") - before
    return median(seconds), result, peak


def _reset_peak() -> float:
    """Reset the peak memory of this process; return its current memory."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return math.nan
    return _memory("VmRSS")


def _memory(name: str) -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return math.nan
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(name))


def _error(array: Array, decoded: Array) -> float:
    if array.dtype.kind == "V":
        return float(not np.array_equal(array.view("u2"), decoded.view("u2")))
    wide = decoded.reshape(array.shape).astype(np.float64) - array
    return float(np.abs(wide).max())


def _of_bytes(
    arrays: dict[str, Array], pack: Callable[[bytes], Any], unpack: Callable[[Any], Any]
) -> Way:
    """Return a coder of bytes as one of arrays, which are joined and split again."""
    joined = b"".join(array.tobytes() for array in arrays.values())

    def decode(coded: Any) -> dict[str, Array]:
        data, found, at = unpack(coded), {}, 0
        for name, array in arrays.items():
            found[name] = np.frombuffer(data, array.dtype, array.size, at).reshape(array.shape)
            at += array.nbytes
        return found

    return lambda: pack(joined), decode, len


def _flwr_gan(arrays: dict[str, Array], spec: str, threads: str = "") -> Way:
    from flwr_gan.wire import Template, decode_payload, encode_payload

    try:
        from flwr_gan.wire.codecs import compiled
    except ImportError:  # an older checkout
        pass
    else:
        compiled.load()
    options: Any = {"threads": int(threads)} if threads else {}
    template = Template.of(arrays)
    return (
        lambda: encode_payload(arrays, codec=spec, self_contained=False, lossy="all", **options),
        lambda data: decode_payload(data, template=template, max_bytes=None, **options),
        len,
    )


def _numpy(arrays: dict[str, Array], spec: str) -> Way:
    from flwr_gan.wire.codecs import compiled

    encode, decode, length = _flwr_gan(arrays, spec)
    without = compiled.without_numba
    return without()(encode), without()(decode), length


def _zipnn(arrays: dict[str, Array], kind: str) -> Way:
    import zipnn

    coder = zipnn.ZipNN(input_format="byte", bytearray_dtype=kind, threads=1)
    # It overwrites its input; the copy takes a small part of the time, to its disadvantage.
    return _of_bytes(arrays, lambda data: coder.compress(bytearray(data)), coder.decompress)


def _blosc2(arrays: dict[str, Array], itemsize: str) -> Way:
    import blosc2

    settings = blosc2.CParams(
        codec=blosc2.Codec.ZSTD,
        clevel=1,
        typesize=int(itemsize),
        filters=[blosc2.Filter.SHUFFLE],
        splitmode=blosc2.SplitMode.ALWAYS_SPLIT,
        nthreads=1,
    )
    one_thread = blosc2.DParams(nthreads=1)
    return _of_bytes(
        arrays,
        lambda data: blosc2.compress2(data, cparams=settings),
        lambda coded: blosc2.decompress2(coded, dparams=one_thread),
    )


def _zstd(arrays: dict[str, Array], level: str) -> Way:
    import zstandard

    pack = zstandard.ZstdCompressor(level=int(level))
    return _of_bytes(arrays, pack.compress, zstandard.ZstdDecompressor().decompress)


def _int8_zstd(arrays: dict[str, Array], level: str) -> Way:
    """Return what a user writes in ten lines: one scale per array, int8, zstandard."""
    import zstandard

    pack = zstandard.ZstdCompressor(level=int(level))
    unpack = zstandard.ZstdDecompressor()

    def encode() -> dict[str, tuple[np.float32, bytes]]:
        coded = {}
        for name, array in arrays.items():
            scale = _scale(array)
            codes = np.rint(array / scale).astype(np.int8)
            coded[name] = scale, pack.compress(codes.tobytes())
        return coded

    def decode(coded: dict[str, tuple[np.float32, bytes]]) -> dict[str, Array]:
        return {
            name: np.frombuffer(unpack.decompress(data), np.int8).astype(np.float32) * scale
            for name, (scale, data) in coded.items()
        }

    return encode, decode, lambda coded: sum(4 + len(data) for _, data in coded.values())


def _scale(array: Array) -> np.float32:
    return np.float32(np.abs(array).max(initial=0) / 127) or np.float32(1)


def _sz3(arrays: dict[str, Array]) -> Way:
    """Return SZ3 without prediction, which keeps zeros and gives smaller results here."""
    from pysz import sz, szAlgorithm, szConfig, szErrorBoundMode

    def settings(array: Array) -> Any:
        chosen = szConfig(array.size)
        chosen.errorBoundMode = szErrorBoundMode.ABS
        chosen.absErrorBound = float(_scale(array)) / 2
        chosen.cmprAlgo = szAlgorithm.NOPRED
        return chosen

    def encode() -> dict[str, Array]:
        return {n: sz.compress(a.reshape(-1), settings(a))[0] for n, a in arrays.items() if a.size}

    def decode(coded: dict[str, Array]) -> dict[str, Array]:
        return {
            name: sz.decompress(data, np.float32, (arrays[name].size,))[0]
            for name, data in coded.items()
        }

    return encode, decode, lambda coded: sum(data.nbytes for data in coded.values())


_WAYS: dict[str, Callable[..., Way]] = {
    "flwr_gan": _flwr_gan,
    "numpy": _numpy,
    "zipnn": _zipnn,
    "blosc2": _blosc2,
    "zstd": _zstd,
    "int8+zstd": _int8_zstd,
    "sz3": _sz3,
}

if __name__ == "__main__":
    main()
