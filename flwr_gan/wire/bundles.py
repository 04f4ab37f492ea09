"""Bundles: groups of arrays of a payload that are coded together, one body per bundle."""

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Bundle:
    """Arrays that are coded together: their places in the payload, codec and base."""

    places: list[int]
    codec: Codec
    base: KnownBase | None

    def base_use(self, wanted: BaseUse) -> BaseUse:
        """Return how to use the base: as wanted, if there is one."""
        return "auto" if self.base is None else wanted


def bundles(
    template: Template, entries: Sequence[Entry], *, codec: Codec, base: Base | None
) -> list[Bundle]:
    """Return the bundles of a payload's arrays, one for each body but that of corrections.

    Bundles that must arrive exactly are coded without the codec's stages.
    """
    users = base_users(template, entries, codec=codec)
    found = []
    for places in bundles_of(entries):
        names = [users[at] for at in places]
        needs = base is not None and any(name is not None for name in names)
        exact = bool(places) and entries[places[0]].exact
        found.append(
            Bundle(
                places,
                without_stages(codec) if exact else codec,
                base.of(names) if base is not None and needs else None,
            )
        )
    return found


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
    expected = bundles(template, entries, codec=codec, base=base)
    corrected = [at for at, entry in enumerate(entries) if entry.form == CORRECTED]
    if len(bodies) != len(expected) + bool(corrected):
        raise PayloadError(f"payload has {len(bodies)} bodies; its array table says otherwise")
    found: dict[int, Array] = {}
    for body, bundle in zip(bodies, expected, strict=False):
        specs = [coded_spec(template.specs[at], entries[at]) for at in bundle.places]
        arrays = body_arrays(body, specs, codec=bundle.codec, base=bundle.base)
        found |= zip(bundle.places, arrays, strict=True)
    counts = [int(np.count_nonzero(found[at])) for at in corrected]
    corrections: dict[int, Array] = {}
    if corrected:
        spec = ArraySpec((sum(counts),), _CORRECTION)
        (joined,) = body_arrays(bodies[-1], [spec], codec=without_stages(codec), base=None)
        corrections |= zip(corrected, np.split(joined, np.cumsum(counts)[:-1]), strict=True)
    return found, corrections
