"""Encoding of named arrays to a payload, with each array's entry in the array table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import get_args

import numpy as np

from flwr_gan.errors import CodecError
from flwr_gan.wire.base import Base
from flwr_gan.wire.bundles import (
    base_users,
    body_arrays,
    bundles,
    encode_corrections,
    without_stages,
)
from flwr_gan.wire.codecs.arrays import Array, ArraySpec, extremes
from flwr_gan.wire.codecs.base import BaseNeed, BaseUse, Body, Codec, refuse_base
from flwr_gan.wire.codecs.library import RawCodec
from flwr_gan.wire.codecs.sparse.codec import SparseCodec
from flwr_gan.wire.codecs.sparse.parts import is_weight
from flwr_gan.wire.decoding import decode_bodies
from flwr_gan.wire.floats import is_float, surviving_float32
from flwr_gan.wire.forms import Formed, exact_form
from flwr_gan.wire.header import write_payload
from flwr_gan.wire.served import Lossy, is_served
from flwr_gan.wire.stages.pipeline import StagedCodec
from flwr_gan.wire.table import AS_FLOAT32, PLAIN, SAME, Entry, coded_spec, write_table
from flwr_gan.wire.template import Template
from flwr_gan.wire.tied import find_tied


@dataclass(frozen=True)
class Encoded:
    """A payload, and the encoder's knowledge about it.

    ``lossy`` are the names of the arrays that stages may have changed. ``decoded`` returns the
    decoded arrays without reading the payload; None if the codec has no such way.
    """

    payload: bytes
    lossy: tuple[str, ...]
    decoded: Callable[[], list[Array]] | None


@dataclass(frozen=True)
class _Task:
    """The arrays to code, and the settings."""

    template: Template
    arrays: tuple[Array, ...]
    tied: tuple[int | None, ...]
    codec: Codec
    base: Base | None
    base_use: BaseUse
    strict: bool
    forms: dict[tuple[int, bool, bool], Formed] = field(default_factory=dict)
    """The forms found for an array, by whether the codec takes weights and whether it is raw."""

    def exact_form(self, at: int, codec: Codec) -> Formed:
        """Return the form of an array for a lossless codec."""
        key = at, codec.general, isinstance(codec, RawCodec)
        if key not in self.forms:
            self.forms[key] = exact_form(
                self.arrays[at], codec=codec, strict=self.strict, has_base=self.base is not None
            )
        return self.forms[key]


@dataclass(frozen=True)
class _Served:
    """The float32 weights of an array that the stages code, and their ``extremes``."""

    single: Array
    extremes: tuple[float, float]

    @property
    def non_negative(self) -> bool:
        """True if it has values, none of them below zero."""
        return bool(self.single.size) and self.extremes[0] >= 0

    @property
    def has_weights(self) -> bool:
        """True if a value is not zero."""
        return self.extremes != (0.0, 0.0)


@dataclass(frozen=True)
class _Draft:
    """The table entries of arrays, and their bodies."""

    entries: list[Entry]
    bodies: list[Body]

    @property
    def base_need(self) -> BaseNeed:
        return max((body.base_need for body in self.bodies), key=get_args(BaseNeed).index)


def encode_arrays(
    arrays: Mapping[str, Array],
    *,
    codec: Codec,
    base: Base | None = None,
    base_use: BaseUse = "auto",
    self_contained: bool = True,
    strict: bool = False,
    lossy: Lossy = "default",
    wanted: Mapping[str, Array] | None = None,
) -> Encoded:
    """Code arrays returned by ``inputs.as_array``; the options are those of ``encode_payload``.

    ``wanted`` has float32 arrays to code instead of the nearest float32 of arrays that a stage
    serves. Raises ``CodecError`` if the codec cannot code the arrays, or the base cannot be used as
    requested.
    """
    if base_use != "auto" and base is None:
        raise CodecError(f"base_use={base_use!r} needs a base")
    if not codec.takes_base:
        refuse_base(base_use, codec.spec)
        base = None
    listed = tuple(arrays.values())
    tied = tuple(find_tied(listed, zeros=isinstance(codec, RawCodec)))
    task = _Task(Template.of(arrays), listed, tied, codec, base, base_use, strict)
    served = {} if codec.lossless else _served(task, lossy, wanted or {})
    task, draft = _drafted(task, served)
    changed = {at for at, one in served.items() if one.has_weights}
    lossy_names = [
        name
        for at, (name, first) in enumerate(zip(task.template.names, tied, strict=True))
        if (at if first is None else first) in changed
    ]
    known = all(body.decoded for body in draft.bodies)
    decoded = partial(_decoded, task, draft) if known else None
    return Encoded(_payload(task, draft, self_contained), tuple(lossy_names), decoded)


def _served(task: _Task, lossy: Lossy, wanted: Mapping[str, Array]) -> dict[int, _Served]:
    """Return the float32 weights of all arrays that the stages code, by index."""
    found = {}
    for at, (name, array) in enumerate(zip(task.template.names, task.arrays, strict=True)):
        if task.tied[at] is None and is_float(array.dtype):
            single = wanted.get(name)
            single = surviving_float32(array) if single is None else single
            reach = extremes(single)
            if is_served(single, reach, lossy=lossy, is_kept=partial(_is_kept, task)):
                found[at] = _Served(single, reach)
    return found


def _is_kept(task: _Task, single: Array) -> bool:
    """Return True if the stage leaves an array unchanged, whatever the other arrays are."""
    codec = task.codec
    by_itself = isinstance(codec, StagedCodec | SparseCodec) and not (
        codec.stage is None or codec.stage.shared
    )
    if not by_itself or task.base is not None:
        return False
    try:
        body = codec.encode_bundle([single])
    except CodecError:
        return False
    (decoded,) = codec.decode_bundle(body, [ArraySpec(single.shape, single.dtype)])
    return bool(np.array_equal(decoded, single))


def _drafted(task: _Task, served: dict[int, _Served]) -> tuple[_Task, _Draft]:
    """Code all arrays; remove arrays that stages refuse or lose nothing of from ``served``."""
    while any(one.has_weights for one in served.values()):
        try:
            draft = _draft(task, served)
        except CodecError:
            refused = [at for at, one in served.items() if _is_refused(one.single, task.codec)]
            if not refused:
                raise
            for at in refused:
                del served[at]
        else:
            return task, _non_negative(task, draft, served)
    served.clear()
    task = replace(task, codec=without_stages(task.codec))
    task = replace(task, codec=_selected(task))
    if not task.codec.takes_base:
        refuse_base(task.base_use, task.codec.spec)
        task = replace(task, base=None)
    return task, _draft(task, {})


def _is_refused(single: Array, codec: Codec) -> bool:
    try:
        codec.encode_bundle([single])
    except CodecError:
        return True
    return False


def _selected(task: _Task) -> Codec:
    """Return the codec, or its choice for the arrays (for the largest bundle if several)."""
    entries, formed = _entries(task, {})
    bundle = max(
        bundles(task.template, entries, codec=task.codec, base=task.base),
        key=lambda bundle: sum(formed[at].array.nbytes for at in bundle.places),
    )
    return task.codec.select(
        [formed[at].array for at in bundle.places],
        strict=task.strict,
        base=bundle.base,
        base_use=bundle.base_use(task.base_use),
    )


def _draft(task: _Task, served: Mapping[int, _Served]) -> _Draft:
    entries, formed = _entries(task, served)
    users = base_users(task.template, entries, codec=task.codec)
    if task.base_use != "auto" and not any(name is not None for name in users):
        raise CodecError(
            f"base_use={task.base_use!r} needs a base that has a float array of the same name and "
            "shape as one of the arrays"
        )
    bodies = [
        bundle.codec.encode_bundle(
            [formed[at].array for at in bundle.places],
            strict=task.strict,
            base=bundle.base,
            base_use=bundle.base_use(task.base_use),
        )
        for bundle in bundles(task.template, entries, codec=task.codec, base=task.base)
    ]
    corrections = [one.corrections for one in formed if one.corrections is not None]
    if corrections:
        bodies.append(encode_corrections(corrections, codec=task.codec))
    draft = _Draft(entries, bodies)
    if draft.base_need == "none" and any(entry.no_base for entry in entries):
        # The base saves nothing, so there is no reason to divide the arrays for it.
        return _draft(replace(task, base=None, base_use="auto"), served)
    return draft


def _entries(task: _Task, served: Mapping[int, _Served]) -> tuple[list[Entry], list[Formed]]:
    """Return the table entry of each array, and the codec's input for it."""
    plain = without_stages(task.codec)
    entries, formed = [], []
    for at, (array, first) in enumerate(zip(task.arrays, task.tied, strict=True)):
        if first is not None:
            entry, one = Entry(SAME, same_as=first), Formed(SAME, array)
        elif at in served:
            form = PLAIN if is_weight(array.dtype) else AS_FLOAT32
            one = Formed(form, served[at].single)
            entry = Entry(form)
        else:
            one = task.exact_form(at, plain)
            entry = Entry(one.form, exact=bool(served) and is_float(array.dtype))
        entries.append(entry)
        formed.append(one)
    return _with_base(task, entries), formed


def _with_base(task: _Task, entries: list[Entry]) -> list[Entry]:
    """Return the entries, with a mark on arrays that the base does not have."""
    if task.base is None:
        return entries
    users = base_users(task.template, entries, codec=task.codec)
    lacks = [
        name is not None and not task.base.has(name, spec.shape)
        for name, spec in zip(users, task.template.specs, strict=True)
    ]
    return [replace(entry, no_base=lack) for entry, lack in zip(entries, lacks, strict=True)]


def _non_negative(task: _Task, draft: _Draft, served: Mapping[int, _Served]) -> _Draft:
    """Mark each array without negative values that decodes to a negative number."""
    if draft.base_need == "none" and task.codec.keeps_sign:
        return draft
    wanted = {at for at, one in served.items() if one.non_negative and one.has_weights}
    entries = list(draft.entries)
    base = None if draft.base_need == "none" else task.base
    coded = bundles(task.template, entries, codec=task.codec, base=base)
    for bundle, body in zip(coded, draft.bodies, strict=False):
        if wanted.isdisjoint(bundle.places):
            continue
        specs = [coded_spec(task.template.specs[at], entries[at]) for at in bundle.places]
        decoded = body_arrays(body, specs, codec=bundle.codec, base=bundle.base)
        for at, array in zip(bundle.places, decoded, strict=True):
            if at in wanted and array.min() < 0:
                entries[at] = replace(entries[at], non_negative=True)
    return replace(draft, entries=entries)


def _decoded(task: _Task, draft: _Draft) -> list[Array]:
    base = None if draft.base_need == "none" else task.base
    return decode_bodies(
        draft.bodies, task.template, draft.entries, codec=task.codec, base=base, writable=False
    )


def _payload(task: _Task, draft: _Draft, self_contained: bool) -> bytes:
    need, base, template = draft.base_need, task.base, task.template
    name, of_base = b"", False
    if need != "none" and base is not None:
        of_base = base.template.hash == template.hash
        used = [
            user
            for user in base_users(template, draft.entries, codec=task.codec)
            if user is not None
        ]
        name = base.name(need, None if of_base else used)
    return write_payload(
        task.codec,
        template,
        draft.bodies,
        table=write_table(draft.entries),
        base_need=need,
        base_name=name,
        template_of_base=of_base,
        self_contained=self_contained,
        strict=task.strict,
    )
