"""Bundles: the arrays of a payload that are coded together, each bundle one body."""

from collections.abc import Sequence

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.base import Base
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.base import BaseUse, Body, Codec
from flwr_gan.wire.codecs.sparse.codec import SparseCodec
from flwr_gan.wire.codecs.sparse.parts import KnownBase, is_weight
from flwr_gan.wire.stages.array_codec import ArrayStagedCodec
from flwr_gan.wire.stages.pipeline import StagedCodec
from flwr_gan.wire.table import CORRECTED, SAME, Entry, bundles_of, coded_spec
from flwr_gan.wire.template import Template

_CORRECTION = np.dtype("<i4")


def without_stages(codec: Codec) -> Codec:
    """Return the lossless codec behind all stages, which codes what must arrive exactly."""
    while isinstance(codec, ArrayStagedCodec | StagedCodec):
        codec = codec.codec
    if isinstance(codec, SparseCodec) and not codec.lossless:
        return SparseCodec(numbers=codec.numbers)
    return codec


def base_users(template: Template, entries: Sequence[Entry], *, codec: Codec) -> list[str | None]:
    """Return the names of the arrays that may be relative to a base, None for the others."""
    takes_base = {False: codec.takes_base, True: without_stages(codec).takes_base}
    users: list[str | None] = []
    for name, spec, entry in zip(template.names, template.specs, entries, strict=True):
        may = takes_base[entry.exact] and not entry.no_base and entry.form != SAME
        users.append(name if may and is_weight(coded_spec(spec, entry).dtype) else None)
    return users


def encode_bundles(
    arrays: Sequence[Array],
    template: Template,
    entries: Sequence[Entry],
    *,
    codec: Codec,
    base: Base | None,
    base_use: BaseUse,
    strict: bool,
) -> list[Body]:
    """Return one body for each bundle of arrays, in the forms in which the codec is given them.

    Bundles that must arrive exactly are coded without the codec's stages. Raises ``CodecError`` as
    ``Codec.encode_bundle`` does.
    """
    users = base_users(template, entries, codec=codec)
    plain = without_stages(codec)
    bodies = []
    for bundle in bundles_of(entries):
        held = bundle_base(base, [users[at] for at in bundle])
        chosen = plain if bundle and entries[bundle[0]].exact else codec
        bodies.append(
            chosen.encode_bundle(
                [arrays[at] for at in bundle],
                strict=strict,
                base=held,
                base_use="auto" if held is None else base_use,
            )
        )
    return bodies


def bundle_base(base: Base | None, users: Sequence[str | None]) -> KnownBase | None:
    """Return what a base has for the arrays of a bundle, if any of them may use it."""
    if base is None or all(name is None for name in users):
        return None
    return base.of(users)


def body_arrays(
    body: Body, specs: Sequence[ArraySpec], *, codec: Codec, base: KnownBase | None
) -> list[Array]:
    """Return what a body is decoded to: its encoder may know, or it is decoded."""
    return codec.decode_bundle(body, specs, base=base) if body.decoded is None else body.decoded()


def encode_corrections(corrections: Sequence[Array], *, codec: Codec) -> Body:
    """Return the body of the corrections of all arrays that have some."""
    joined = np.concatenate(corrections).astype(_CORRECTION, copy=False)
    return without_stages(codec).encode_bundle([joined])


def decode_bundles(
    bodies: Sequence[Body],
    template: Template,
    entries: Sequence[Entry],
    *,
    codec: Codec,
    base: Base | None,
) -> tuple[dict[int, Array], dict[int, Array]]:
    """Decode all bodies of a payload, whose template must have been checked for size.

    Returns, by place in the payload, each array that is not the same as another, as it was given to
    the codec, and the int32 corrections of each array that has them. Raises ``PayloadError`` if
    these arrays cannot have become such bodies.
    """
    bundles = bundles_of(entries)
    corrected = [at for at, entry in enumerate(entries) if entry.form == CORRECTED]
    if len(bodies) != len(bundles) + bool(corrected):
        raise PayloadError(f"payload has {len(bodies)} bodies; its array table says otherwise")
    users = base_users(template, entries, codec=codec)
    plain = without_stages(codec)
    found: dict[int, Array] = {}
    for body, bundle in zip(bodies, bundles, strict=False):
        specs = [coded_spec(template.specs[at], entries[at]) for at in bundle]
        held = bundle_base(base, [users[at] for at in bundle])
        chosen = plain if bundle and entries[bundle[0]].exact else codec
        found |= zip(bundle, body_arrays(body, specs, codec=chosen, base=held), strict=True)
    counts = [int(np.count_nonzero(found[at])) for at in corrected]
    corrections: dict[int, Array] = {}
    if corrected:
        spec = ArraySpec((sum(counts),), _CORRECTION)
        (joined,) = body_arrays(bodies[-1], [spec], codec=plain, base=None)
        corrections |= zip(corrected, np.split(joined, np.cumsum(counts)[:-1]), strict=True)
    return found, corrections
