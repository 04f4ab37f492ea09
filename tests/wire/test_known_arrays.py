"""What encoding says that the receiver will have is what decoding gives, bit for bit."""

from contextlib import nullcontext

import numpy as np
import pytest

from flwr_gan.wire import decode_payload, encode_to_send
from flwr_gan.wire import sent as sent_module
from flwr_gan.wire.codecs import compiled
from tests.wire.test_sent import bits

LOSSLESS = ["raw", "zlib", "sparse", "sparse:pcodec", "auto", "csr"]
KNOWN = [
    *(f"{stage}+sparse" for stage in ("quantize:int8:layer", "quantize:int4:channel")),
    *(f"{stage}+sparse" for stage in ("quantize:int3:network", "quantize:affine5:layer")),
    *(f"{stage}+sparse" for stage in ("quantize:em3:channel", "ternary:layer", "binary:channel")),
    *(f"{stage}+sparse" for stage in ("codebook:16:network", "cast:fp16", "cast:bf16")),
    "flexpoint+sparse",
    "prune:magnitude:0.5:global+sparse",
    "prune:magnitude:0.5:global+quantize:int8:layer+sparse",
    "redundancy:4:conv+sparse",
    "topk:0.1+int4+sparse",
]
DECODED = [
    "quantize:int8:layer+zlib",
    "cast:bf16+raw",
    "codebook:16:layer+zlib",
    "lowrank:rank:4+quantize:int8:layer+sparse",
    "hash:0.25+sparse",
]


def every_kind(seed: int, *, kept: float = 0.4) -> dict[str, np.ndarray]:
    """Return arrays of all types and ways to travel, their masks by ``kept``."""
    rng = np.random.default_rng(seed)
    mask = np.random.default_rng(9).random((20, 30)) < kept
    w = np.where(mask, rng.normal(0, 0.1, (20, 30)), 0)
    found = {"w": w.astype(np.float32), "dense": rng.normal(size=(9, 8, 2)).astype(np.float32)}
    found |= {"positive": np.abs(found["dense"]), "tied": found["w"].copy()}
    found |= {"double": w + 0.5 * mask, "exact": rng.normal(size=40), "half": w.astype(np.float16)}
    found["bfloat16"] = (w.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view("V2")
    found |= {"swapped": w[::2].astype(">f4"), "zeros": np.zeros((9, 9), np.float32)}
    found |= {"steps": np.array(seed), "wave": np.array([1j, -0.0]), "-0": np.array([-0.0, 1])}
    return found | {"none": np.empty((0, 3), np.float32), "no axis": np.array(0.5, np.float32)}


def bases() -> dict[str, dict[str, np.ndarray] | None]:
    """Return what a receiver of ``every_kind(1)`` may hold."""
    held, same = every_kind(2), every_kind(1)
    same["w"][:3] *= 2
    infinite = {**held, "dense": held["dense"] + np.float32(np.inf)}
    few = {"w": held["w"], "dense": held["dense"].T, "exact": held["exact"]}
    far = {**held, "w": np.sign(held["w"]) * np.float32(1e38)}
    found = {"none": None, "far": far, "same mask": held, "other mask": every_kind(3, kept=0.5)}
    return found | {"few changes": same, "base mask alone": infinite, "few arrays": few}


@pytest.mark.parametrize(
    ("spec", "numba"),
    [(spec, True) for spec in (*LOSSLESS, *KNOWN, *DECODED)] + [(spec, False) for spec in KNOWN],
)
def test_what_encoding_knows_is_what_is_decoded(spec, numba, monkeypatch):
    sent, asked = every_kind(1), []

    def counted(*args, **options):
        asked.append(args)
        return decode_payload(*args, **options)

    compiled.load()
    monkeypatch.setattr(sent_module, "decode_payload", counted)
    residual = {"w": np.full((20, 30), 0.01, np.float32)}
    for name, base in bases().items():
        left = residual if name in ("none", "same mask", "few arrays") else None
        with nullcontext() if numba else compiled.without_numba():
            made = encode_to_send(sent, codec=spec, base=base, residual=left)
            assert bits(made.decoded) == bits(decode_payload(made.payload, base=base))
    assert bool(asked) == (spec in DECODED)
    assert all(array.flags.writeable for array in sent.values())
