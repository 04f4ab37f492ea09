"""The arrays behind the golden payloads, from whole-number arithmetic alone."""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent

_STEP = 1664525


def numbers(count, seed):
    """Reproducible float32 values in [-1, 1), free of any library's generator."""
    state, values = seed, []
    for _ in range(count):
        state = (_STEP * state + 1013904223) % 2**32
        values.append(state >> 8)
    return (np.array(values, np.float64) / 2**23 - 1).astype(np.float32)


def weights(share, seed=1):
    """Return a small model of which ``share`` of the weights is pruned by magnitude."""
    fc = numbers(120, seed).reshape(12, 10)
    conv = numbers(54, seed + 1).reshape(3, 6, 3)
    flat = np.sort(np.abs(np.concatenate([fc.reshape(-1), conv.reshape(-1)])))
    limit = flat[int(len(flat) * share)]
    return {
        "fc": np.where(np.abs(fc) >= limit, fc, np.float32(0)),
        "conv": np.where(np.abs(conv) >= limit, conv, np.float32(0)),
        "steps": np.array(1234, np.int64),
        "flags": np.array([True, False, True]),
    }


def moved(arrays):
    """Return the same arrays a little later."""
    return {
        name: array * np.float32(1.0078125) if array.dtype == np.float32 else array
        for name, array in arrays.items()
    }


def wide():
    """Return a layer of 2048 weights of which every third survives."""
    w = numbers(2048, 9).reshape(64, 32)
    return {"w": np.where(np.arange(2048).reshape(64, 32) % 3 == 0, w, np.float32(0))}


def regrown():
    """Return the same layer with some survivors gone and some zeros back."""
    w, at = wide()["w"], np.arange(2048).reshape(64, 32)
    w = np.where(at % 93 == 0, np.float32(0), w)
    return {"w": np.where(at % 101 == 1, numbers(2048, 10).reshape(64, 32), w)}


def long():
    """Return so many weights that each lane of their codes has words of its own."""
    return {"w": numbers(45_000, 18) ** 3}


def short_and_dense():
    """Return many float16 of which none is zero."""
    return {"w": ((np.floor(numbers(5000, 17) * 8) + 0.5) / 4).astype(np.float16)}


def on_a_grid(steps):
    """Return weights that are few different numbers."""
    return {"w": np.floor(numbers(2048, 15) * steps).reshape(64, 32) / np.float32(512)}


def few_changed():
    """Return the layer with every 97th weight another."""
    w = wide()["w"]
    other = np.arange(2048).reshape(64, 32) % 97 == 0
    return {"w": np.where(other & (w != 0), w * np.float32(1.25), w)}


def as_half(arrays):
    """Return weights as float16."""
    return {name: array.astype(np.float16) for name, array in arrays.items()}


def banded():
    """Return a layer of which every third column has larger weights, as one-hot inputs give it."""
    w = numbers(8192, 5).reshape(1024, 8)
    w[:, ::3] *= np.float32(0.015625)
    return {"w": np.where(np.abs(w) >= np.float32(0.005859375), w, np.float32(0))}


def served_and_not():
    """Return weights that stages serve, and arrays that travel exactly beside them."""
    causal = np.where(np.arange(64).reshape(8, 8) % 3 == 0, np.float32(-np.inf), np.float32(0.5))
    return {
        "fc": numbers(120, 3).reshape(12, 10),
        "bias": numbers(12, 4),
        "running_var": np.abs(numbers(12, 5)) * np.float32(256),
        "num_batches_tracked": np.array(5),
        "causal": causal,
        "grid": np.floor(numbers(100, 6) * 8).reshape(10, 10) / np.float32(8),
        "few": numbers(54, 7).reshape(3, 6, 3),
        "half": numbers(80, 8).reshape(8, 10).astype(np.float16),
        "zero": np.zeros((9, 9), np.float32),
    }


def of_all_types():
    """Return weights of every float type, half of them pruned."""
    w = np.where(np.arange(120) % 2, numbers(120, 11), np.float32(0)).reshape(12, 10)
    return {
        "float16": w.astype(np.float16),
        "big float16": w.astype(">f2"),
        "bfloat16": (w.view(np.uint32) >> 16).astype("<u2").view("V2"),
        "float32": w,
        "float32 in float64": w.astype(np.float64),
        "float64": w.astype(np.float64) / 3,
        "nan": np.array([0x7E01, 0x3C00], np.uint16).view(np.float16),
    }


def tied():
    """Return a model whose embedding is its last layer, too."""
    w = numbers(120, 12).reshape(12, 10)
    return {"wte": w, "fc": numbers(100, 13).reshape(10, 10), "head": w.copy(), "again": w}


def grown():
    """Return a model of which the receiver has some arrays, one of them in another type."""
    new = served_and_not()
    held = {name: moved({name: new[name]})[name] for name in ("fc", "bias", "grid")}
    held["half"] = new["half"].astype(np.float64) * 1.0625
    held["running_var"] = np.zeros(3, np.float32)
    return new, held


def positive():
    """Return weights that are never negative, but a product of few factors would be."""
    w = np.abs(numbers(400, 14)).reshape(20, 20)
    return {"w": np.where(w > np.float32(0.8), w, np.float32(0.0009765625))}


SPECIAL = {
    "w": np.array([0, -0.0, 1e-45, np.inf, -np.inf, 3e38, -1], np.float32),
    "nan": np.array([0x7FC00001, 0xFF800003], np.uint32).view(np.float32),
    "big": np.array([1.5, -2.5], ">f4"),
    "half": np.array([[1, 2], [3, 4]], np.float16),
    "none": np.empty((0, 4), np.float32),
    "scalar": np.array(2.5),
    "complex": np.array([1 - 2j], np.complex64),
}

DENSE, HALF, MOST = weights(0.0), weights(0.5), weights(0.9)

GROWN, KNOWN = grown()
EVERY = {"lossy": "all"}

# name: (arrays, keyword arguments of encode_payload)
CASES = {
    "raw": (SPECIAL, {"codec": "raw"}),
    "zlib": (HALF, {"codec": "zlib"}),
    "lzma": (HALF, {"codec": "lzma"}),
    "bz2": (HALF, {"codec": "bz2"}),
    "zstd": (HALF, {"codec": "zstd"}),
    "pcodec": (HALF, {"codec": "pcodec"}),
    "sparse_dense": (DENSE, {}),
    "sparse_half": (HALF, {}),
    "sparse_most": (MOST, {}),
    "sparse_special": (SPECIAL, {"strict": True}),
    "sparse_pcodec": (HALF, {"codec": "sparse:pcodec"}),
    "sparse_int8": (HALF, {"codec": "sparse:int8", **EVERY}),
    "sparse_int6": (HALF, {"codec": "sparse:int6", **EVERY}),
    "sparse_int5": (HALF, {"codec": "sparse:int5", **EVERY}),
    "sparse_int4": (HALF, {"codec": "sparse:int4", **EVERY}),
    "sparse_fp16": (HALF, {"codec": "sparse:fp16", **EVERY}),
    "sparse_bf16": (HALF, {"codec": "sparse:bf16", **EVERY}),
    "channel_sparse": (HALF, {"codec": "quantize:int8:channel+sparse", **EVERY}),
    "channel_zstd": (HALF, {"codec": "quantize:int8:channel+zstd", **EVERY}),
    "bf16_zlib": (HALF, {"codec": "cast:bf16+zlib", **EVERY}),
    "same": (moved(HALF), {"base": HALF, "base_use": "mask"}),
    "difference": (moved(HALF), {"base": HALF, "base_use": "values"}),
    "difference_pcodec": (
        moved(HALF),
        {"base": HALF, "base_use": "values", "codec": "sparse:pcodec"},
    ),
    "difference_int8": (
        moved(HALF),
        {"base": HALF, "base_use": "values", "codec": "sparse:int8", **EVERY},
    ),
    "nested": (MOST, {"base": HALF, "base_use": "mask"}),
    "derived": (MOST, {"base": HALF, "base_use": "derive"}),
    "changed": (regrown(), {"base": wide(), "base_use": "mask"}),
    "bands": (banded(), {"codec": "sparse:int4", **EVERY}),
    "prune_sparse": (DENSE, {"codec": "prune:magnitude:0.8+sparse", **EVERY}),
    "prune_local_int8": (
        HALF,
        {"codec": "prune:magnitude:0.75:local+quantize:int8:channel+sparse", **EVERY},
    ),
    "prune_random_zlib": (DENSE, {"codec": "prune:random:0.5+zlib", **EVERY}),
    "int3_network": (HALF, {"codec": "quantize:int3:network+sparse", **EVERY}),
    "affine8_channel_zlib": (HALF, {"codec": "quantize:affine8:channel+zlib", **EVERY}),
    "affine5": (DENSE, {"codec": "quantize:affine5:layer+sparse", **EVERY}),
    "em3_network": (HALF, {"codec": "quantize:em3:network+sparse", **EVERY}),
    "ternary_channel": (DENSE, {"codec": "ternary:channel+sparse", **EVERY}),
    "binary_layer": (HALF, {"codec": "binary:layer+sparse", **EVERY}),
    "binary_network_zlib": (HALF, {"codec": "binary:network+zlib", **EVERY}),
    "codebook16": (HALF, {"codec": "codebook:16:layer+sparse", **EVERY}),
    "codebook256_network_zlib": (HALF, {"codec": "codebook:256:network+zlib", **EVERY}),
    "flexpoint": (HALF, {"codec": "flexpoint+sparse", **EVERY}),
    "flexpoint_zlib": (DENSE, {"codec": "flexpoint+zlib", **EVERY}),
    "lowrank_sparse": (DENSE, {"codec": "lowrank:rank:2+sparse", **EVERY}),
    "lowrank_int8": (DENSE, {"codec": "lowrank:energy:0.5+quantize:int8:channel+sparse", **EVERY}),
    "lowrank_pruned_zlib": (
        DENSE,
        {"codec": "lowrank:rank:3+prune:magnitude:0.3:local+zlib", **EVERY},
    ),
    "csr": (HALF, {"codec": "csr"}),
    "csc": (HALF, {"codec": "csc"}),
    "rle": (MOST, {"codec": "rle"}),
    "budget": (HALF, {"codec": "budget:share:0.15+sparse", **EVERY}),
    "budget_zlib": (DENSE, {"codec": "budget:bytes:90+zlib", **EVERY}),
    "csr_int8": (MOST, {"codec": "quantize:int8:layer+csr", **EVERY}),
    "redundancy_sparse": (HALF, {"codec": "redundancy:6:conv+sparse", **EVERY}),
    "redundancy_int8_zlib": (
        DENSE,
        {"codec": "redundancy:7:transposed+quantize:int8:layer+zlib", **EVERY},
    ),
    "hash": (DENSE, {"codec": "hash:0.25+sparse", **EVERY}),
    "hash_sign_int8": (HALF, {"codec": "hash:0.1:sign+quantize:int8:layer+sparse", **EVERY}),
    "derived_by_layer": (
        {**MOST, "conv": HALF["conv"]},
        {"base": HALF, "base_use": "derive"},
    ),
    "palette": (on_a_grid(9), {}),
    "palette_long": (on_a_grid(400), {}),
    "unchanged": (HALF, {"base": HALF}),
    "changes": (few_changed(), {"base": wide()}),
    "changes_pcodec": (few_changed(), {"base": wide(), "codec": "sparse:pcodec"}),
    "changes_int8": (few_changed(), {"base": wide(), "codec": "sparse:int8"}),
    "difference_float16": (as_half(few_changed()), {"base": as_half(wide()), "base_use": "values"}),
    "difference_block_zlib": (
        moved(HALF),
        {"base": HALF, "codec": "quantize:int8:layer+zlib", **EVERY},
    ),
    "difference_channel": (
        moved(HALF),
        {"base": HALF, "codec": "quantize:int6:channel+sparse", **EVERY},
    ),
    "difference_channel_zlib": (
        moved(HALF),
        {"base": HALF, "codec": "quantize:int4:channel+zlib", **EVERY},
    ),
    "difference_affine": (
        moved(HALF),
        {"base": HALF, "codec": "quantize:affine5:layer+sparse", **EVERY},
    ),
    "difference_affine8_raw": (
        moved(HALF),
        {"base": HALF, "codec": "quantize:affine8:network+raw", **EVERY},
    ),
    "difference_bf16": (moved(HALF), {"base": HALF, "codec": "cast:bf16+sparse", **EVERY}),
    "difference_fp16_zlib": (moved(HALF), {"base": HALF, "codec": "cast:fp16+zlib", **EVERY}),
    "difference_ternary": (moved(HALF), {"base": HALF, "codec": "ternary:layer+sparse", **EVERY}),
    "difference_binary_zlib": (
        moved(HALF),
        {"base": HALF, "codec": "binary:channel+zlib", **EVERY},
    ),
    "difference_codebook": (
        moved(HALF),
        {"base": HALF, "codec": "codebook:16:layer+sparse", **EVERY},
    ),
    "difference_flexpoint": (moved(HALF), {"base": HALF, "codec": "flexpoint+sparse", **EVERY}),
    "difference_pruned_int4": (
        moved(HALF),
        {"base": HALF, "codec": "prune:magnitude:0.5+sparse:int4", **EVERY},
    ),
    "topk_int4": (moved(HALF), {"base": HALF, "codec": "topk:0.1+int4+sparse", **EVERY}),
    "topk_binary": (
        moved(HALF),
        {"base": HALF, "codec": "topk:0.1:local+binary:network+sparse", **EVERY},
    ),
    "randk": (moved(HALF), {"base": HALF, "codec": "randk:0.1+int8+sparse", **EVERY}),
    "eden": (moved(HALF), {"base": HALF, "codec": "eden:2+sparse", **EVERY}),
    "qsgd": (moved(HALF), {"base": HALF, "codec": "qsgd:4:unbiased+sparse", **EVERY}),
    "powersgd": (moved(DENSE), {"base": DENSE, "codec": "powersgd:2+sparse", **EVERY}),
    "lanes": (long(), {"codec": "sparse:int8", **EVERY}),
    "half_dense": (short_and_dense(), {}),
    "nothing": ({}, {}),
    "tied": (tied(), {}),
    "tied_raw": (tied(), {"codec": "raw"}),
    "tied_int8": (tied(), {"codec": "sparse:int8"}),
    "types": (of_all_types(), {}),
    "types_strict": (
        {name: -array for name, array in of_all_types().items() if "b" not in name},
        {"strict": True},
    ),
    "types_raw": (of_all_types(), {"codec": "raw"}),
    "types_zlib": (of_all_types(), {"codec": "zlib"}),
    "types_int8": (of_all_types(), {"codec": "sparse:int8"}),
    "types_channel_zlib": (of_all_types(), {"codec": "quantize:int4:channel+zlib"}),
    "served_int8": (served_and_not(), {"codec": "sparse:int8"}),
    "served_channel_zlib": (served_and_not(), {"codec": "quantize:int8:channel+zlib"}),
    "served_lowrank": (served_and_not(), {"codec": "lowrank:rank:2+sparse:int4"}),
    "grown": (GROWN, {"base": KNOWN}),
    "grown_int8": (GROWN, {"base": KNOWN, "codec": "sparse:int8"}),
    "grown_hash": (GROWN, {"base": KNOWN, "self_contained": False}),
    "positive": (positive(), {"codec": "lowrank:rank:2+sparse"}),
    "names": (
        {f"layers.{at}.norm.bias": numbers(3, at + 1) for at in range(60)},
        {"codec": "raw"},
    ),
}

SAME_BYTES_EVERYWHERE = [
    name
    for name, (_, options) in CASES.items()
    if options.get("codec", "sparse") == "raw" and name != "names"  # which zlib has deflated
] + [
    name
    for name, (_, options) in CASES.items()
    if "sparse" in options.get("codec", "sparse")
    and not any(word in options.get("codec", "") for word in ("pcodec", "lowrank", "powersgd"))
]
