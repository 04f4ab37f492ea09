"""Report of a payload's content as lines of text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np

from flwr_gan.wire.bundles import without_stages
from flwr_gan.wire.codecs.arrays import BFLOAT16, ArraySpec
from flwr_gan.wire.codecs.base import DEFAULT_MAX_BYTES, Body, Codec
from flwr_gan.wire.codecs.sparse.bands import read_bands
from flwr_gan.wire.codecs.sparse.masks import LAYERED, MODE_NAMES
from flwr_gan.wire.codecs.sparse.numbers import BANDED, CHANGES, CODING, RELATIVE, SHIFTED
from flwr_gan.wire.codecs.sparse.parts import is_weight
from flwr_gan.wire.codecs.sparse.positions import FORM_NAMES, read_forms
from flwr_gan.wire.codecs.sparse.values import CODING_NAMES
from flwr_gan.wire.codecs.varint import ByteReader
from flwr_gan.wire.decoding import read_entries
from flwr_gan.wire.header import VERSION, PayloadInfo, PayloadSizes, describe_payload
from flwr_gan.wire.payload import decode_payload
from flwr_gan.wire.stages.array_codec import ArrayStagedCodec
from flwr_gan.wire.table import FORM_NAMES as TRAVEL_NAMES
from flwr_gan.wire.table import PLAIN, Entry, bundles_of, coded_spec
from flwr_gan.wire.template import Template


@dataclass(frozen=True)
class _Bundle:
    """Arrays that are coded together, and their difference to the payload's other arrays."""

    label: str
    codec: Codec
    body: Body
    indices: list[int]  # of the arrays in the payload
    specs: list[ArraySpec] | None  # as given to the codec; None if unknown


def report(payload: bytes, *, name: str, max_bytes: int = DEFAULT_MAX_BYTES) -> list[str]:
    """Return the lines that describe a payload; ``PayloadError`` if it is damaged."""
    info = describe_payload(payload)
    template = info.template
    kind = "lossless" if info.codec.lossless else "lossy"
    lines = [
        f"file      {name}",
        f"version   {VERSION}",
        f"codec     {info.codec_label} ({kind}{', strict' if info.strict else ''})",
        f"template  {info.template_hash.hex() if info.template_hash else 'that of the base'}",
        f"bytes     {len(payload)}: {_split(info.sizes)}",
    ]
    if info.base_hash is not None:
        lines.append(f"base      needs the {info.base_need} of {info.base_hash.hex()}")
    entries = None if template is None else read_entries(info, template)
    bundles = list(_bundles(info, template, entries))
    for bundle in bundles:
        lines += _mask_and_values(bundle)
    if template is None or entries is None:
        return [*lines, "arrays    unknown: the payload does not hold its template"]
    ratio = template.nbytes / len(payload)
    lines.append(f"ratio     {ratio:.2f} ({template.nbytes} bytes uncoded)")
    forms: dict[int, str] = {}
    for bundle in bundles:
        forms |= zip(bundle.indices, _mask_forms(bundle), strict=False)
    return lines + _table(payload, info, template, entries, forms, max_bytes)


def _split(sizes: PayloadSizes) -> str:
    return f"header {sizes.header_bytes}, mask {sizes.mask_bytes}, values {sizes.value_bytes}"


def _bundles(
    info: PayloadInfo, template: Template | None, entries: list[Entry] | None
) -> Iterator[_Bundle]:
    if template is None or entries is None:
        if not info.table:
            yield _Bundle("", info.codec, info.body, [], None)
        return
    for body, indices in zip(info.bodies, bundles_of(entries), strict=False):
        specs = [coded_spec(template.specs[at], entries[at]) for at in indices]
        no_base, exact = entries[indices[0]].key if indices else (False, False)
        words = [word for word, said in (("exact", exact), ("without base", no_base)) if said]
        codec = without_stages(info.codec) if exact else info.codec
        yield _Bundle(", ".join(words), codec, body, indices, specs)


def _mask_and_values(bundle: _Bundle) -> list[str]:
    """Return the codings of a bundle's mask and values, if its codec has a mask."""
    body = _behind_stages(bundle)
    if bundle.codec.general or body is None:
        return []
    of = f" ({bundle.label} arrays)" if bundle.label else ""
    mode = bundle.body.mask[0] if bundle.body.mask else LAYERED
    mask = MODE_NAMES[mode] if mode < len(MODE_NAMES) else f"unknown mode {mode}"
    return [
        f"mask      {mask}, {len(bundle.body.mask)} bytes{of}",
        f"values    {_value_coding(body)}, {len(bundle.body.values)} bytes{of}",
    ]


def _behind_stages(bundle: _Bundle) -> Body | None:
    """Return the output of the codec after all array stages; None if a template is needed."""
    codec, body, specs = bundle.codec, bundle.body, bundle.specs
    while isinstance(codec, ArrayStagedCodec):
        if not codec.stage.keeps_shapes:
            if specs is None:
                return None
            body, parts, _ = codec.opened(body, specs)
            specs = [spec for of_array in parts for spec in of_array]
        codec = codec.codec
    return body


def _value_coding(body: Body) -> str:
    reader = ByteReader(body.values, what="values")
    count = reader.varint(limit=1 << 62)
    tag = reader.byte()
    number = tag & CODING
    coding = CODING_NAMES[number] if number < len(CODING_NAMES) else f"unknown coding {number}"
    relative = ", differences to the base" if tag & RELATIVE else ""
    if tag & CHANGES:
        reader.take(bool(tag & SHIFTED))
        relative += f" where it changed, {reader.varint(limit=count)} of"
        return f"{coding}{relative} {count} survivors"
    return f"{coding}{relative}, {count} survivors"


def _mask_forms(bundle: _Bundle) -> Iterator[str]:
    """Yield the coding of each array's mask; for a divided array, of each band's mask."""
    specs, body = bundle.specs or [], bundle.body
    layered = not bundle.codec.general and body.mask[:1] == bytes([LAYERED])
    if not layered or _behind_stages(bundle) is not body:
        return  # no mask, or a mask of other arrays
    shapes = [spec.shape for spec in specs if is_weight(spec.dtype)]
    counts = [1] * len(shapes)
    values = ByteReader(body.values, what="values")
    values.varint(limit=1 << 62)
    if values.byte() & BANDED:
        counts = [1 if bands is None else bands.count for bands in read_bands(values, shapes)]
    forms = iter(read_forms(ByteReader(body.mask[1:], what="mask"), sum(counts)))
    left = iter(counts)
    for spec in specs:
        if not is_weight(spec.dtype):
            yield ""
            continue
        count = next(left)
        names = "/".join(dict.fromkeys(FORM_NAMES[next(forms)] for _ in range(count)))
        yield names if count == 1 else f"{count} bands, {names}"


def _table(
    payload: bytes,
    info: PayloadInfo,
    template: Template,
    entries: list[Entry],
    forms: dict[int, str],
    limit: int,
) -> list[str]:
    rows = [("array", "dtype", "shape", "nonzero", "share", "mask", "travels")]
    arrays = None
    if info.base_need == "none":
        arrays = decode_payload(payload, max_bytes=limit, writable=False)
    for at, (name, spec) in enumerate(zip(template.names, template.specs, strict=True)):
        nonzero = share = "?"
        if arrays is not None:
            array = arrays[name]
            count = int(np.count_nonzero(array.view("<u2") if array.dtype.kind == "V" else array))
            nonzero = str(count)
            share = f"{100 * count / spec.size:.2f} %" if spec.size else "-"
        shape = "x".join(map(str, spec.shape)) or "()"
        dtype = "bfloat16" if spec.dtype == BFLOAT16 else spec.dtype.str
        travels = _travels(entries[at], template)
        rows.append((_shown(name), dtype, shape, nonzero, share, forms.get(at, ""), travels))
    used = [any(cells[1:]) or len(rows) == 1 for cells in zip(*rows, strict=True)]
    return aligned([tuple(compress(row, used)) for row in rows])


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows of a table as lines whose columns are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _travels(entry: Entry, template: Template) -> str:
    """Return the form of an array in the payload if it is not the default."""
    if entry.same_as is not None:
        return f"same as {_shown(template.names[entry.same_as])}"
    words = [] if entry.form == PLAIN else [TRAVEL_NAMES[entry.form]]
    words += ["exact"] * entry.exact + ["without base"] * entry.no_base
    return ", ".join(words + ["not negative"] * entry.non_negative)


def _shown(name: str) -> str:
    """Return a name that is safe for a terminal and a table."""
    return name if name.isprintable() and name else repr(name)
