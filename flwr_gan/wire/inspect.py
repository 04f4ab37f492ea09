"""Print what is inside a payload file: ``python -m flwr_gan.wire.inspect FILE``."""

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from flwr_gan.codecs.base import DEFAULT_MAX_BYTES, Body
from flwr_gan.codecs.sparse.bands import read_bands
from flwr_gan.codecs.sparse.codec import BANDED, RELATIVE
from flwr_gan.codecs.sparse.masks import LAYERED, MODE_NAMES
from flwr_gan.codecs.sparse.parts import is_weight
from flwr_gan.codecs.sparse.positions import FORM_NAMES, read_forms
from flwr_gan.codecs.sparse.values import CODING_NAMES
from flwr_gan.codecs.varint import ByteReader
from flwr_gan.compress.array_codec import ArrayStagedCodec
from flwr_gan.errors import FlwrGanError
from flwr_gan.wire.file import read_payload_file
from flwr_gan.wire.header import VERSION, PayloadInfo, PayloadSizes, describe_payload
from flwr_gan.wire.payload import decode_payload
from flwr_gan.wire.template import Template


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is inside the files named and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="fgan-inspect", description="Print what is inside a payload file (.fgan)."
    )
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--max-bytes",
        type=int,
        default=DEFAULT_MAX_BYTES,
        help="most bytes that the decoded arrays may have (default %(default)s)",
    )
    options = parser.parse_args(arguments)
    status = 0
    for path in options.files:
        try:
            payload = read_payload_file(path)
            print("\n".join(report(payload, name=path, max_bytes=options.max_bytes)))
        except FlwrGanError as error:
            print(f"{path}: {str(error).removeprefix(f'{path}: ')}", file=sys.stderr)
            status = error.exit_status
    return status


def report(payload: bytes, *, name: str, max_bytes: int = DEFAULT_MAX_BYTES) -> list[str]:
    """Return the lines that describe a payload.

    Raises
    ------
    PayloadError
        If the payload is damaged or from a newer version.
    """
    info = describe_payload(payload)
    sizes = info.sizes
    kind = "lossless" if info.codec.lossless else "lossy"
    lines = [
        f"file      {name}",
        f"version   {VERSION}",
        f"codec     {info.codec_label} ({kind}{', strict' if info.strict else ''})",
        f"template  {info.template_hash.hex() if info.template_hash else 'that of the base'}",
        f"bytes     {len(payload)}: {_split(sizes)}",
    ]
    if info.base_hash is not None:
        lines.append(f"base      needs the {info.base_need} of {info.base_hash.hex()}")
    body = _coded_body(info)
    if not info.codec.general and body is not None:
        lines.append(f"mask      {_mask_mode(info)}, {sizes.mask_bytes} bytes")
        lines.append(f"values    {_value_mode(body)}, {sizes.value_bytes} bytes")
    if info.template is None:
        return [*lines, "arrays    unknown: the payload has the hash of its template alone"]
    template = info.template
    ratio = template.nbytes / len(payload)
    lines.append(f"ratio     {ratio:.2f} ({template.nbytes} bytes uncoded)")
    return lines + _table(payload, info, template, max_bytes)


def _split(sizes: PayloadSizes) -> str:
    return f"header {sizes.header_bytes}, mask {sizes.mask_bytes}, values {sizes.value_bytes}"


def _mask_mode(info: PayloadInfo) -> str:
    mode = info.body.mask[0] if info.body.mask else LAYERED
    return MODE_NAMES[mode] if mode < len(MODE_NAMES) else f"unknown mode {mode}"


def _coded_body(info: PayloadInfo) -> Body | None:
    """Return what the codec behind all array stages wrote; None if that takes a template."""
    codec, body = info.codec, info.body
    specs = None if info.template is None else list(info.template.specs)
    while isinstance(codec, ArrayStagedCodec):
        if not codec.stage.keeps_shapes:
            if specs is None:
                return None
            body, parts = codec.opened(body, specs)
            specs = [spec for of_array in parts for spec in of_array]
        codec = codec.codec
    return body


def _value_mode(body: Body) -> str:
    reader = ByteReader(body.values, what="values")
    count = reader.varint(limit=1 << 62)
    tag = reader.byte()
    number = tag & ~(RELATIVE | BANDED)
    coding = CODING_NAMES[number] if number < len(CODING_NAMES) else f"unknown coding {number}"
    relative = ", differences to the base" if tag & RELATIVE else ""
    return f"{coding}{relative}, {count} survivors"


def _table(payload: bytes, info: PayloadInfo, template: Template, limit: int) -> list[str]:
    rows = [("array", "dtype", "shape", "nonzero", "share", "mask")]
    arrays = None
    if info.base_need == "none":
        arrays = decode_payload(payload, max_bytes=limit)
    forms = _forms(info, template)
    for name, spec in zip(template.names, template.specs, strict=True):
        nonzero = share = "?"
        if arrays is not None:
            count = int(np.count_nonzero(arrays[name]))
            nonzero = str(count)
            share = f"{100 * count / spec.size:.2f} %" if spec.size else "-"
        shape = "x".join(map(str, spec.shape)) or "()"
        form = next(forms, "") if is_weight(spec.dtype) else ""
        rows.append((name, spec.dtype.str, shape, nonzero, share, form))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _forms(info: PayloadInfo, template: Template) -> Iterator[str]:
    """Yield how the mask of each layer is written; of a divided one, how that of each band is."""
    shapes = [spec.shape for spec in template.specs if is_weight(spec.dtype)]
    body = _coded_body(info)
    if info.codec.general or info.body.mask[:1] != bytes([LAYERED]) or body is not info.body:
        return  # no mask, or one of other arrays
    units = [1] * len(shapes)
    values = ByteReader(info.body.values, what="values")
    values.varint(limit=1 << 62)
    if values.byte() & BANDED:
        units = [1 if bands is None else bands.count for bands in read_bands(values, shapes)]
    forms = iter(read_forms(ByteReader(info.body.mask[1:], what="mask"), sum(units)))
    for count in units:
        names = [FORM_NAMES[next(forms)] for _ in range(count)]
        name = "/".join(dict.fromkeys(names))
        yield name if count == 1 else f"{count} bands, {name}"


if __name__ == "__main__":
    sys.exit(main())
