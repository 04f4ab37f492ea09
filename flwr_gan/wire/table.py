"""The array table: the form of each array of a payload, if it is not the default."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import BFLOAT16, ArraySpec
from flwr_gan.wire.codecs.sparse.parts import FLOAT32, is_weight
from flwr_gan.wire.codecs.sparse.streams import read_stream, write_stream
from flwr_gan.wire.codecs.varint import ByteReader, write_varint
from flwr_gan.wire.floats import DOUBLE, is_float
from flwr_gan.wire.template import Template

PLAIN, AS_FLOAT32, CORRECTED, SAME = 0, 1, 2, 3
"""Forms of an array, the two low bits of its entry (permanent)."""

FORM_NAMES = ("plain", "as float32", "float32 and corrections", "same as an earlier one")

_FORM = 0x03
_EXACT, _NO_BASE, _NON_NEGATIVE = 0x04, 0x08, 0x10


@dataclass(frozen=True)
class Entry:
    """The form of one array in a payload.

    ``exact``: the stages do not change it. ``no_base``: it has no base though others do.
    ``non_negative``: values decoded below zero become the smallest number above zero.
    ``same_as`` is the earlier array that it equals.
    """

    form: int = PLAIN
    exact: bool = False
    no_base: bool = False
    non_negative: bool = False
    same_as: int | None = None

    @property
    def key(self) -> tuple[bool, bool]:
        """The common properties of a bundle's arrays; bundles are sorted by them."""
        return self.no_base, self.exact


def coded_spec(spec: ArraySpec, entry: Entry) -> ArraySpec:
    """Return the shape and dtype of an array as the codec is given it."""
    if entry.form in (AS_FLOAT32, CORRECTED):
        return ArraySpec(spec.shape, FLOAT32)
    if spec.dtype == BFLOAT16:
        return ArraySpec(spec.shape, np.dtype("<u2"))
    return spec


def bundles_of(entries: Sequence[Entry]) -> list[list[int]]:
    """Return which arrays are coded together; one empty bundle if there is no array."""
    bundles: dict[tuple[bool, bool], list[int]] = {}
    for at, entry in enumerate(entries):
        if entry.form != SAME:
            bundles.setdefault(entry.key, []).append(at)
    return [bundles[key] for key in sorted(bundles)] or [[]]


def write_table(entries: Sequence[Entry]) -> bytes:
    """Return the table of these entries; empty if all of them are the default."""
    codes = bytes(map(_code, entries))
    if not any(codes):
        return b""
    indices = [entry.same_as for entry in entries if entry.same_as is not None]
    return bytes(write_stream([np.frombuffer(codes, np.uint8)])) + b"".join(
        map(write_varint, indices)
    )


def _code(entry: Entry) -> int:
    bits = {_EXACT: entry.exact, _NO_BASE: entry.no_base, _NON_NEGATIVE: entry.non_negative}
    return entry.form | sum(bit for bit, is_set in bits.items() if is_set)


def read_table(
    table: bytes | memoryview, template: Template, *, lossy: bool, has_base: bool
) -> list[Entry]:
    """Read the output of ``write_table``, empty for a payload without a table.

    ``lossy``: the codec has stages. Raises ``PayloadError`` if the bytes are damaged, or an array
    cannot have its form.
    """
    if not table:
        return [Entry()] * len(template.specs)
    reader = ByteReader(table, what="array table")
    codes = read_stream(reader, len(template.specs)).tolist()
    if not any(codes):
        raise PayloadError("payload has an array table that says nothing")
    entries: list[Entry] = []
    for at, (code, spec) in enumerate(zip(codes, template.specs, strict=True)):
        entry = Entry(
            code & _FORM,
            exact=bool(code & _EXACT),
            no_base=bool(code & _NO_BASE),
            non_negative=bool(code & _NON_NEGATIVE),
            same_as=reader.varint(limit=at - 1) if code & _FORM == SAME and at else None,
        )
        if not _is_sound(entry, code, spec, lossy=lossy, has_base=has_base):
            raise PayloadError(f"array {template.names[at]} cannot travel as its entry {code} says")
        first = entry.same_as
        if first is not None and (entries[first].form == SAME or template.specs[first] != spec):
            raise PayloadError(f"array {template.names[at]} is the same as one that is unlike it")
        entries.append(entry)
    reader.finish()
    return entries


def _is_sound(entry: Entry, code: int, spec: ArraySpec, *, lossy: bool, has_base: bool) -> bool:
    if entry.form == SAME:
        return code == SAME and entry.same_as is not None
    weights = is_weight(coded_spec(spec, entry).dtype)
    forms = {
        PLAIN: True,
        AS_FLOAT32: is_float(spec.dtype) and not is_weight(spec.dtype),
        CORRECTED: spec.dtype.newbyteorder("<") == DOUBLE,
    }
    return (
        not code & ~(_FORM | _EXACT | _NO_BASE | _NON_NEGATIVE)
        and forms[entry.form]
        and (not entry.exact or (lossy and is_float(spec.dtype)))
        and (not entry.no_base or (has_base and weights))
        and (not entry.non_negative or (lossy and weights and not entry.exact))
    )
