"""Bundles: groups of arrays of a payload that are coded together, one body per bundle."""

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
    """Return the lossless codec after all stages; it codes the arrays that must arrive exactly."""
    while isinstance(codec, ArrayStagedCodec | StagedCodec):
        codec = codec.codec
    if isinstance(codec, SparseCodec) and not codec.lossless:
        return SparseCodec(numbers=codec.numbers)
    return codec


def base_users(template: Template, entries: Sequence[Entry], *, codec: Codec) -> list[str | None]:
    """Return the names of the arrays that may be coded relative to a base, None for the others."""
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
    """Return one body per bundle of arrays, which are in the forms that the codec is given.

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
    """Return the base's arrays for the arrays of a bundle, if any of them may use the base."""
    if base is None or all(name is None for name in users):
        return None
    return base.of(users)


def body_arrays(
    body: Body, specs: Sequence[ArraySpec], *, codec: Codec, base: KnownBase | None
) -> list[Array]:
    """Return the decoded arrays of a body: from its encoder if known, else by decoding."""
    return codec.decode_bundle(body, specs, base=base) if body.decoded is None else body.decoded()


def encode_corrections(corrections: Sequence[Array], *, codec: Codec) -> Body:
    """Return the body with the corrections of all arrays that have corrections."""
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

    Returns two mappings by place in the payload: the distinct arrays, as they were given to the
    codec, and the int32 corrections of the arrays that have them. Raises ``PayloadError`` if an
    encoder cannot have written such bodies for these arrays.
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
