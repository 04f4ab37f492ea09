"""Size and speed of each codec on pruned weights, compared with published results.

``python -m experiments.benchmarks.codecs [--weights FOLDER_OR_FILE ...] [--repeats N]`` writes
``codecs.csv``, ``codecs_known_mask.csv`` and ``codecs.png`` into the folder ``results`` beside it.
Rates are MB (10**6) of float32 per processor second on one core, medians. Ratios are float32 bytes
divided by the bytes of the whole payload with header and checksum, if the receiver knows the
template. Zeros are *raw* (signed, as ``weight * mask`` gives them) or *canonical* (+0.0, as the
codecs make them).
"""

import argparse
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from experiments.benchmarks.codec_measures import (
    PUBLISHED_RATIOS,
    Array,
    Arrays,
    generate,
    is_generator,
    median_seconds,
    order0_bound_bytes,
    output_change,
    read_weights,
)
from experiments.study.results import write_table
from flwr_gan.errors import CodecError, FlwrGanError
from flwr_gan.plots.codecs import codecs_figure
from flwr_gan.plots.style import save_figure
from flwr_gan.wire import Template, decode_payload, describe_payload, encode_payload, payload_sizes
from flwr_gan.wire.codecs import codec_names, get_codec
from flwr_gan.wire.codecs.base import BaseUse

RESULTS = Path(__file__).parent / "results"
SHORT_RESULTS = Path("runs/codecs_short")
GENERAL = ("zlib:9", "lzma:9", "bz2:9", "zstd:3", "zstd:19", "pcodec:8", "pcodec:12", "paq9a:1")
SPARSE = ("sparse", "sparse:pcodec", "sparse:fp16", "sparse:bf16")
QUANTISED = ("sparse:int8", "sparse:int6", "sparse:int5", "sparse:int4")
ONCE = ("paq9a:1",)
"""Codecs that are too slow to be timed more than once per array."""

# Name, codec, the receiver's base, the used part of the base.
KNOWN_MASK: tuple[tuple[str, str, str, BaseUse], ...] = (
    ("lossless, mask known", "sparse", "prev", "mask"),
    ("lossless, mask known", "sparse:pcodec", "prev", "mask"),
    ("difference to base", "sparse", "prev", "values"),
    ("difference to base", "sparse:pcodec", "prev", "values"),
    ("quantised, mask known", "sparse:int8", "prev", "mask"),
    ("quantised, mask known", "sparse:int6", "prev", "mask"),
    ("quantised, mask known", "sparse:int4", "prev", "mask"),
    ("quantised difference", "sparse:int8", "prev", "values"),
    ("mask update, nested", "sparse", "before", "mask"),
    ("mask update, derived", "sparse", "before", "derive"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the tables and the picture; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", nargs="+", default=[], metavar="FOLDER_OR_FILE")
    parser.add_argument("--repeats", type=int, default=5, help="runs per median")
    parser.add_argument("--codecs", nargs="+", metavar="SPEC", help="only these codecs")
    parser.add_argument("--output", type=Path, metavar="FOLDER")
    parser.add_argument("--short", action="store_true", help="once, without the slowest codecs")
    options = parser.parse_args(arguments)
    output = options.output or (SHORT_RESULTS if options.short else RESULTS)
    try:
        weights = read_weights(options.weights)
        known_specs = installed((*GENERAL, *SPARSE, *QUANTISED))
        quick = [spec for spec in known_specs if spec not in ONCE]
        specs = options.codecs or (quick if options.short else known_specs)
        for spec in specs:
            get_codec(spec)
        table = measure(weights, specs, repeats=1 if options.short else options.repeats)
        known = pd.DataFrame(known_mask_rows(weights, specs))
        write_table(table, output / "codecs.csv", digits=6)
        if len(known):
            write_table(known, output / "codecs_known_mask.csv", digits=6)
        published = {name: list(ratios) for name, ratios in PUBLISHED_RATIOS.items()}
        save_figure(codecs_figure(table, published), output / "codecs.png")
    except FlwrGanError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    print(report(table, known))
    return 0


def installed(specs: Sequence[str]) -> list[str]:
    """Return the specs whose libraries are installed."""
    names = set(codec_names())
    needs = {spec: "pcodec" if "pcodec" in spec else spec.split(":")[0] for spec in specs}
    return [spec for spec in specs if needs[spec] in names]


def measure(weights: Mapping[str, Arrays], specs: Sequence[str], *, repeats: int) -> pd.DataFrame:
    """Return one row per set of weights, kind of zeros and codec."""
    chosen = {name: weights[name] for name in weights if not name.endswith("_prev")}
    jobs = [
        (name, zeros, spec)
        for name in chosen
        for zeros in ("raw", "canonical")
        for spec in specs
        if zeros == "canonical" or not spec.startswith("sparse")
    ]
    for spec in specs:  # paq9a is compiled in its first call, for encoding and decoding
        decode_payload(encode_payload({"w": np.ones(64, np.float32)}, codec=spec))
    rows = []
    outputs = {name: generate(arrays) for name, arrays in chosen.items() if is_generator(arrays)}
    baseline: dict[tuple[str, str], tuple[float, float]] = {}
    with tqdm(jobs, desc="codecs", disable=None) as progress:
        for name, zeros, spec in progress:
            progress.set_postfix_str(f"{name} {zeros} {spec}")
            arrays = chosen[name] if zeros == "raw" else canonical(chosen[name])
            if (name, zeros) not in baseline:
                baseline[name, zeros] = _zlib_rates(arrays, repeats)
            times = 1 if spec in ONCE else repeats
            row = _row(arrays, spec, strict=zeros == "raw", repeats=times, output=outputs.get(name))
            encode_rate, decode_rate = baseline[name, zeros]
            row["encode_to_zlib9"] = row["encode_mb_s"] / encode_rate
            row["decode_to_zlib9"] = row["decode_mb_s"] / decode_rate
            # The published weights have signed zeros as well.
            row["published_ratio"] = published_ratio(name, spec) if zeros == "raw" else np.nan
            rows.append({"weights": name, "zeros": zeros, "codec": spec} | row)
    return pd.DataFrame(rows)


def canonical(arrays: Arrays) -> Arrays:
    """Return the arrays without negative zeros."""
    return {
        name: array + np.float32(0) if array.dtype == np.float32 else array
        for name, array in arrays.items()
    }


def _row(
    arrays: Arrays, spec: str, *, strict: bool, repeats: int, output: Array | None
) -> dict[str, float]:
    template = Template.of(arrays)
    payload = b""

    def encode() -> None:
        nonlocal payload
        payload = encode_payload(arrays, codec=spec, self_contained=False, strict=strict)

    encode_s = median_seconds(encode, repeats=repeats)
    decode_s = median_seconds(lambda: decode_payload(payload, template=template), repeats=repeats)
    decoded = decode_payload(payload, template=template)
    info = describe_payload(payload)
    lossless = info.codec.lossless
    if lossless and any(decoded[name].tobytes() != arrays[name].tobytes() for name in arrays):
        raise FlwrGanError(f"{spec} did not give back what it was given")
    change = np.nan if lossless or output is None else output_change(output, decoded)
    return {
        "dense_bytes": template.nbytes,
        "payload_bytes": len(payload),
        "header_bytes": info.sizes.header_bytes,
        "mask_bytes": info.sizes.mask_bytes,
        "ratio": template.nbytes / len(payload),
        "order0_bound_ratio": template.nbytes / order0_bound_bytes(arrays),
        "output_change": change,
        "encode_mb_s": template.nbytes / encode_s / 1e6,
        "decode_mb_s": template.nbytes / decode_s / 1e6,
    }


def _zlib_rates(arrays: Arrays, repeats: int) -> tuple[float, float]:
    data = b"".join(array.tobytes() for array in arrays.values())
    coded = zlib.compress(data, 9)
    encode_s = median_seconds(lambda: zlib.compress(data, 9), repeats=repeats)
    decode_s = median_seconds(lambda: zlib.decompress(coded), repeats=repeats)
    return len(data) / encode_s / 1e6, len(data) / decode_s / 1e6


def published_ratio(name: str, spec: str) -> float:
    """Return the published ratio of a codec for weights ``pP``, NaN if there is none."""
    ratios = PUBLISHED_RATIOS.get(spec.split(":")[0])
    if ratios is None or name[:1] != "p" or not name[1:].isdigit() or int(name[1:]) >= len(ratios):
        return float("nan")
    return ratios[int(name[1:])]


def known_mask_rows(
    weights: Mapping[str, Arrays], specs: Sequence[str]
) -> Iterator[dict[str, object]]:
    """Yield the cost of payloads for a receiver that holds a base."""
    for name, arrays in weights.items():
        for case, spec, held, use in KNOWN_MASK:
            before = f"{name}_prev" if held == "prev" else _level_before(name)
            if spec not in specs or before not in weights:
                continue
            # The receiver holds decoded arrays, so a lossy base has to be decoded first.
            base = decode_payload(encode_payload(weights[before], codec=spec))
            try:
                payload = encode_payload(
                    arrays, codec=spec, base=base, base_use=use, self_contained=False
                )
            except CodecError:
                continue  # the mask is not nested, or not the result of pruning the base
            template = Template.of(arrays)
            decoded = decode_payload(payload, template=template, base=base)
            lossy = is_generator(arrays) and not get_codec(spec).lossless
            yield {
                "weights": name,
                "receiver_has": before,
                "case": case,
                "codec": spec,
                "payload_bytes": len(payload),
                "mask_bytes": payload_sizes(payload).mask_bytes,
                "ratio": template.nbytes / len(payload),
                "output_change": output_change(generate(arrays), decoded) if lossy else np.nan,
            }


def _level_before(name: str) -> str:
    return f"p{int(name[1:]) - 1}" if name[:1] == "p" and name[1:].isdigit() else ""


def report(table: pd.DataFrame, known: pd.DataFrame) -> str:
    """Return the measurements as text."""
    order = list(dict.fromkeys(table["weights"]))
    parts = []
    for column, title in (
        ("ratio", "ratio, float32 bytes to payload bytes"),
        ("encode_mb_s", "encode, MB/s of float32"),
        ("decode_mb_s", "decode, MB/s of float32"),
        ("encode_to_zlib9", "encode, as a multiple of zlib.compress level 9"),
        ("decode_to_zlib9", "decode, as a multiple of zlib.decompress"),
        ("output_change", "output change of lossy codecs"),
        ("published_ratio", "published ratio (paper 000, Table 2)"),
    ):
        rows = table.dropna(subset=[column])
        if not len(rows):
            continue
        wide = rows.pivot_table(
            index=["zeros", "codec"], columns="weights", values=column, sort=False
        )
        text = wide[[name for name in order if name in wide]].to_string(
            float_format="{:.4g}".format
        )
        parts.append(f"{title}\n{text}")
    bound = table.groupby("weights", sort=False)["order0_bound_ratio"].max()
    parts.append(
        "order-0 bound, computed ratio\n" + bound.to_frame().T.to_string(float_format="%.2f")
    )
    if len(known):
        parts.append("where the receiver holds something\n" + known.to_string(index=False))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
