"""Run the numpy app with every codec and stage, beside itself without the wire.

A program for an environment that holds flwr, numpy and zstandard alone. Usage:
``python check_wire.py APP_FOLDER``; it prints a line per run and ends non-zero at the first fault.
"""

import logging
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from flwr_gan.cli import find_app
from flwr_gan.engine import run_apps
from flwr_gan.wire.codecs import codec_names, get_codec
from flwr_gan.wire.stages import stage_names

LOSSLESS = ("raw", "zlib:6", "lzma:6", "bz2:9", "zstd:3", "rle", "csr", "csc", "sparse", "auto")
LOSSY = (
    "sparse:int8", "sparse:int4", "sparse:fp16", "sparse:bf16", "cast:fp16+zstd:3",
    "quantize:int8:channel+zlib:6", "prune:magnitude:0.5+sparse", "ternary:layer+sparse",
    "binary:layer+zlib:6", "codebook:16:layer+sparse", "flexpoint+zstd:3", "lowrank:rank:4+raw",
    "redundancy:64+sparse", "hash:0.5+raw", "topk:0.1+int4", "dgc:0.1", "randk:0.1+int8", "eden:2",
    "qsgd:16", "powersgd:2", "budget:share:0.2+sparse",
)  # fmt: skip
NOT_THERE = (
    "torch", "hydra", "omegaconf", "pandas", "sklearn", "matplotlib", "scipy", "ml_dtypes",
    "safetensors", "ray", "numba", "pcodec", "isal", "flwr_datasets",
)  # fmt: skip


def run(app, out, **config):
    """Run the app and return the arrays that it ends with."""
    config = app.defaults | config | {"out": str(out)}
    run_apps(app.server_app, app.client_app, num_supernodes=3, run_config=config)
    with np.load(out, allow_pickle=False) as file:
        return dict(file)


def main():
    """Return the exit status."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    found = [name for name in NOT_THERE if find_spec(name)]
    assert not found, f"this environment holds {found}"
    tested = {spec.split("+")[0].split(":")[0] for spec in LOSSLESS + LOSSY}
    assert {*codec_names(), *stage_names()} <= tested | {"quantize"}, "a codec or stage is new"
    app = find_app(sys.argv[1])
    out = Path(tempfile.mkdtemp()) / "arrays.npz"
    for api in ("message", "legacy", "loop"):
        plain = run(app, out, api=api)
        for spec in LOSSLESS if api == "message" else ("sparse", "zstd:3"):
            same(run(app, out, api=api, codec=spec), plain, spec)
            say(f"{api}: {spec} equals plain")
        for spec in LOSSY if api == "message" else ("sparse:int8",):
            assert not get_codec(spec).lossless
            arrays = run(app, out, api=api, codec=spec)
            assert {n: a.shape for n, a in arrays.items()} == {n: a.shape for n, a in plain.items()}
            assert all(np.isfinite(array).all() for array in arrays.values()), spec
            assert arrays["steps"] == plain["steps"], spec
            say(f"{api}: {spec} is finite")
    return 0


def say(line):
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def same(found, expected, spec):
    """Raise unless both hold the same arrays, bit for bit."""
    assert list(found) == list(expected), spec
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, (spec, name)
        assert found[name].tobytes() == array.tobytes(), (spec, name)


if __name__ == "__main__":
    sys.exit(main())
