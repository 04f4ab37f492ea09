"""Initial payloads of the fuzzer: every codec and mode, with and without template and base."""

import bz2
import lzma
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import zstandard

from flwr_gan.wire import Template, describe_payload, encode_payload
from flwr_gan.wire.codecs import codec_names
from flwr_gan.wire.codecs.varint import write_varint
from flwr_gan.wire.header import DEFLATED, VERSION, embed_template, seal

Array = np.ndarray[Any, np.dtype[Any]]
HASH_BYTES = 8


@dataclass(frozen=True)
class Parts:
    """A payload split into parts, so that a mutation of one part leaves the others readable."""

    head: bytes  # magic, version, flags, codec, stages
    template: bytes  # the serialised template with its length, or its hash, or empty
    base_hash: bytes  # hash of the base, or empty
    # the array table with its length, and the lengths of all bodies but the last; or empty
    table: bytes
    # the codec's input from all bodies
    mask: bytes
    values: bytes
    earlier: int = 0  # part of the mask that belongs to the bodies before the last
    mask_length: int | None = None  # length written before the mask; None for the true one

    def body(self) -> bytes:
        """Return the payload without its checksum."""
        length = self.mask_length
        if length is None:
            length = max(0, len(self.mask) - self.earlier)
        front = self.head + self.template + self.base_hash + self.table
        return front + write_varint(length) + self.mask + self.values

    @classmethod
    def of(cls, payload: bytes) -> "Parts":
        """Split a valid payload into its parts."""
        info = describe_payload(payload)
        end = len(payload) - 4
        values_at = end - info.sizes.value_bytes
        mask_at = values_at - info.sizes.mask_bytes
        base_hash = info.base_hash or b""
        table_at = info.template_end + len(base_hash)
        last = len(info.bodies[-1].mask)
        return cls(
            head=payload[: info.template_at],
            template=payload[info.template_at : info.template_end],
            base_hash=base_hash,
            table=payload[table_at : mask_at - len(write_varint(last))],
            mask=payload[mask_at:values_at],
            values=payload[values_at:end],
            earlier=info.sizes.mask_bytes - last,
        )


@dataclass(frozen=True)
class Case:
    """A valid payload and its receiver's template and base."""

    name: str  # must not change: kept inputs name the case whose template and base they need
    codec: str  # its spec
    parts: Parts  # the payload
    template: Template | None  # known to the receiver; None if the payload contains it
    base: Mapping[str, Array] | None  # held by the receiver


def _arrays(seed: int, size: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    # Values are rounded to steps, so that the cases are the same on all machines.
    wide = np.round(rng.normal(size=(size, 8)) * 4096) / 4096
    return {
        "w": (wide * (rng.random((size, 8)) < 0.3)).astype(np.float32),
        "v": (rng.integers(1, 999, 5) / 256).astype(np.float32),
        "g": (rng.integers(1, 99, 40 * size) * (np.arange(40 * size) % 41 == 7)).astype(np.float32),
        "z": np.zeros((3, 2), np.float32),
        "e": np.empty((0, 4), np.float32),
        "big": (rng.integers(-9, 9, 6) / 8).astype(">f4"),
        "n": np.array([1, 2, 300], np.int64),
        "b": np.array([True, False]),
        "s": np.array(2.5, np.float64),
        "c": np.array([1 - 2j], np.complex64),
        "h": np.arange(4, dtype=np.float16),
    }


def _mixed(size: int) -> dict[str, Array]:
    """Return arrays of all float types, some equal arrays, and some that no stage supports."""
    rng = np.random.default_rng(8)

    def steps(shape: tuple[int, ...]) -> Array:
        return rng.integers(-999, 999, shape) * (rng.random(shape) < 0.5) / 1024

    tied = steps((size, 10)).astype(np.float32)
    return {
        "w": tied,
        "half": steps((8, size)).astype(np.float16),
        "brain": (steps((9, size)).astype(np.float32).view(np.uint32) >> 16)
        .astype("<u2")
        .view("V2"),
        "head": tied,
        "wide": steps((size, 8)),
        "double": steps((size, 9)) / 3,
        "positive": np.abs(steps((size, 8))).astype(np.float32),
        "bias": steps((size,)).astype(np.float32),
        "causal": np.where(np.triu(np.ones((8, 8)), 1), -np.inf, 0.5).astype(np.float32),
        "count": np.array(7),
        "nan": np.array([[np.nan, 1.0]] * 5, np.float16),
    }


def _banded() -> dict[str, Array]:
    """Return a layer in which some indices of an axis have more and larger weights."""
    rng = np.random.default_rng(6)
    steps = rng.integers(1, 4096, (1200, 8)) * np.where(np.arange(8) % 3, 1, 64)
    kept = rng.random((1200, 8)) < np.where(np.arange(8) % 3, 0.4, 0.9)
    return {"v": np.ones(3, np.float32), "w": (steps * kept / 4096).astype(np.float32)}


def _moved(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: (array * 0.98).astype(array.dtype) for name, array in arrays.items()}


def _pruned(arrays: Mapping[str, Array], least: float) -> dict[str, Array]:
    return {
        name: np.where(np.abs(array) > least, array, 0).astype(array.dtype)
        if array.dtype == np.float32
        else array
        for name, array in arrays.items()
    }


PLAIN = (
    "raw", "zlib", "lzma", "bz2", "zstd", "pcodec", "sparse", "sparse:pcodec", "sparse:int8",
    "sparse:int6", "sparse:int5", "sparse:int4", "sparse:fp16", "sparse:bf16",
    "quantize:int8:channel+sparse", "quantize:int4:channel+zlib", "quantize:int8+raw",
    "cast:fp16+bz2", "cast:bf16+pcodec", "paq9a", "csr", "csc", "rle",
    "quantize:int8:layer+csr", "budget:share:0.2+sparse", "budget:share:0.3+zlib",
    "quantize:affine8:channel+zlib", "quantize:affine5:channel+sparse",
    "quantize:em3:network+sparse", "ternary:channel+sparse", "ternary:layer+rle",
    "binary:layer+sparse", "binary:network+zlib", "codebook:16:layer+sparse",
    "codebook:256:network+zlib", "flexpoint+sparse", "flexpoint+zlib",
    "prune:magnitude:0.5:global+sparse", "prune:random:0.5:local+quantize:int4:channel+sparse",
    "lowrank:rank:2+sparse", "lowrank:energy:0.5+quantize:int8:channel+zlib",
    "redundancy:8:conv+sparse", "redundancy:4:transposed+quantize:int8:layer+sparse",
    "hash:0.2+sparse", "hash:0.1:sign+quantize:int8:layer+zlib",
)  # fmt: skip
"""Codecs that are tried on arrays of every kind; the stages among them support all kinds."""

UPDATES = (
    "topk:0.1+sparse:int4", "topk:0.2:local+binary:network+sparse", "dgc:0.1+zlib",
    "randk:0.2+sparse:int8", "randk:0.5:unbiased+zlib", "eden:1+sparse", "eden:3:unbiased+zlib",
    "qsgd:4+sparse", "qsgd:16:unbiased+zlib", "powersgd:2+sparse",
)  # fmt: skip
"""Codecs with stages for updates, which are tried with a base."""

MIXED = (
    "raw", "zlib", "pcodec", "sparse", "sparse:int8", "quantize:int4:channel+zlib",
    "quantize:affine5:layer+sparse", "prune:magnitude:0.5:global+sparse:int4",
    "lowrank:rank:2+sparse",
)  # fmt: skip
"""Codecs that are tried on all float types, tied arrays, and arrays that no stage supports."""


def cases() -> list[Case]:
    """Return the cases of all codecs that are installed."""
    return list(_all_cases())


def _all_cases() -> Iterator[Case]:
    small, large = _arrays(3, 9), _arrays(4, 300)
    for spec in PLAIN:
        every = {"lossy": "all"}
        for size, arrays in (("small", small), ("large", large)):
            if spec != "paq9a" or size == "small":
                yield from _pair(f"{spec}, {size}", spec, arrays, every)
        yield from _pair(f"{spec}, strict", spec, {"w": -small["w"]}, {"strict": True})
    yield from _pair("sparse, nothing", "sparse", {}, {})
    rng = np.random.default_rng(5)
    many = {"w": (rng.integers(1, 1 << 20, 140_000) / 1024).astype(np.float32)}
    for spec in ("sparse", "sparse:int8", "zlib"):
        yield from _pair(f"{spec}, many", spec, many, {})
    lanes = {"w": ((rng.integers(-999, 999, 50_000) / 1024) ** 3).astype(np.float32)}
    yield from _pair("sparse:int8, lanes", "sparse:int8", lanes, {"lossy": "all"})
    short = {"h": (rng.integers(1, 400, 5000) / 128).astype(np.float16)}
    yield from _pair("sparse, short floats", "sparse", short, {})
    for spec in ("sparse", "sparse:int8", "sparse:int4", "sparse:bf16"):
        yield from _pair(f"{spec}, bands", spec, _banded(), {})
    biases = {f"layers.{at}.bias": np.full(2, at + 1, np.float32) for at in range(40)}
    yield from _pair("zlib, names", "zlib", biases, {})
    for size, arrays in (("small", small), ("large", large)):
        yield from _based_cases(size, arrays)
    for size, count in (("small", 9), ("large", 200)):
        yield from _mixed_cases(size, _mixed(count))


def _based_cases(size: str, arrays: dict[str, Array]) -> Iterator[Case]:
    near = _moved(arrays)
    for spec in ("sparse", "sparse:int8", "sparse:int4", "sparse:bf16", "sparse:pcodec"):
        for use in ("mask", "values"):
            options = {"base": near, "base_use": use, "lossy": "all"}
            yield from _pair(f"{spec}, {use}, {size}", spec, arrays, options)
    for spec in ("quantize:int8:channel+zlib", "cast:bf16+raw", "ternary:layer+sparse"):
        options = {"base": near, "base_use": "values", "lossy": "all"}
        yield from _pair(f"{spec}, values, {size}", spec, arrays, options)
    for spec in UPDATES:
        options = {"base": near, "lossy": "all"}
        yield from _pair(f"{spec}, {size}", spec, arrays, options)
    nested = _pruned(arrays, 0.6)
    yield from _pair(f"nested, {size}", "sparse", nested, {"base": near, "base_use": "mask"})
    changed = {"base": arrays, "base_use": "mask"}
    yield from _pair(f"changed, {size}", "sparse", _regrown(arrays), changed)
    weights = {name: arrays[name] for name in ("w", "v", "g")}
    for spec in ("sparse", "sparse:int8", "sparse:bf16", "codebook:16:layer+sparse"):
        for use in ("mask", "values"):
            options = {"base": _moved(weights), "base_use": use, "lossy": "all"}
            yield from _pair(f"{spec}, {use}, weights, {size}", spec, weights, options)
    derived = {"base": _flat(arrays), "base_use": "derive"}
    yield from _pair(f"derived, {size}", "sparse", _flat(_pruned(arrays, 1.0)), derived)
    layered = _flat(_pruned(arrays, 1.0))
    if "v" in layered:
        layered["v"] = arrays["v"]
    yield from _pair(f"derived by layer, {size}", "sparse", layered, derived)


def _mixed_cases(size: str, arrays: dict[str, Array]) -> Iterator[Case]:
    held = {**arrays, "half": arrays["half"] * np.float16(2), "bias": arrays["bias"].astype("f8")}
    other = {"w": arrays["w"] * np.float32(0.5), "half": held["half"], "double": arrays["wide"]}
    for spec in MIXED:
        yield from _pair(f"{spec}, mixed, {size}", spec, arrays, {})
        if spec in ("raw", "zlib", "pcodec"):
            continue
        yield from _pair(f"{spec}, mixed base, {size}", spec, arrays, {"base": held})
        yield from _pair(f"{spec}, other base, {size}", spec, arrays, {"base": other})


def _regrown(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays with every 29th weight of one removed or regrown."""
    w = arrays["w"].reshape(-1).copy()
    w[::29] = np.where(w[::29] == 0, np.float32(0.5), np.float32(0))
    return {**arrays, "w": w.reshape(arrays["w"].shape)}


def _flat(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: arrays[name] for name in ("w", "v")}


def _pair(
    name: str, spec: str, arrays: Mapping[str, Array], options: Mapping[str, Any]
) -> Iterator[Case]:
    """Yield the payload with its template and with only its hash; none if a library is missing."""
    known_names = codec_names()
    if any(name in spec and name not in known_names for name in ("pcodec", "paq9a")):
        return
    template = Template.of(arrays)
    base = options.get("base")
    for known, self_contained in ((None, True), (template, False)):
        payload = encode_payload(arrays, codec=spec, self_contained=self_contained, **options)
        if self_contained and describe_payload(payload).template is None:
            # The base's template would suffice; a file contains it nevertheless.
            payload = embed_template(payload, template)
        kind = "whole" if self_contained else "hash"
        yield Case(f"{name}, {kind}", spec, Parts.of(payload), known, base)


def bombs(sizes: tuple[int, ...] = (1 << 12, 1 << 20, 1 << 25)) -> list[Case]:
    """Return small payloads that decode to far more than their small template allows."""
    small = {"w": np.zeros(1000, np.float32)}
    template = Template.of(small)
    made = []
    for size in sizes:
        zeros = bytes(size)
        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]
        streams = {
            "zlib": zlib.compress(zeros, 9),
            "bz2": bz2.compress(zeros),
            "lzma": lzma.compress(zeros, lzma.FORMAT_RAW, filters=filters),
            "zstd": zstandard.ZstdCompressor().compress(zeros),
        }
        for spec, stream in streams.items():
            sound = encode_payload(small, codec=spec, self_contained=False)
            parts = replace(Parts.of(sound), values=stream)
            made.append(Case(f"bomb {spec} {size}", spec, parts, template, None))
        for spec in ("sparse", "sparse:int8", "pcodec", "csr", "rle"):
            if spec in codec_names() or spec.startswith("sparse"):
                wide = encode_payload({"w": np.zeros(size // 4, np.float32)}, codec=spec)
                sound = encode_payload(small, codec=spec, self_contained=False)
                head = Parts.of(sound).head
                parts = replace(Parts.of(wide), head=head, template=template.hash)
                made.append(Case(f"bomb {spec} {size}", spec, parts, template, None))
                made.append(Case(f"bomb {spec} {size}, whole", spec, Parts.of(wide), None, None))
        squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
        stream = squeezer.compress(zeros) + squeezer.flush()
        for length in (size, 1000):
            names = write_varint(length) + write_varint(len(stream)) + stream
            head = b"FGN" + bytes([VERSION, DEFLATED, 7])
            parts = Parts(head, names, b"", b"", b"\0", b"\0\0")
            made.append(Case(f"bomb of names {size} as {length}", "sparse", parts, None, None))
    return made


def sealed(parts: Parts) -> bytes:
    """Return the payload of these parts with a checksum that agrees."""
    return seal(parts.body())
