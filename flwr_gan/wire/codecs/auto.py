"""``auto``: choose the best codec for a payload, by size or by time over a known link.

The candidates are the codecs that every installation can read: ``sparse``, ``zstd`` and ``raw``.
By size, all of them are tried, and the shortest payload is taken. The choice depends only on the
arrays and the spec, never on a clock, so that the same arrays give the same bytes. The header of
the payload names the codec that was chosen. Within ``sparse``, each layer always gets its own form
of mask (none, all, gaps, bitmap), bands and codes.

n weights, k survivors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from flwr_gan.errors import CodecError, PayloadError
from flwr_gan.wire.codecs.arrays import Array, ArraySpec
from flwr_gan.wire.codecs.base import BaseUse, Body, Codec
from flwr_gan.wire.codecs.library import ZSTD, LibraryCodec, RawCodec
from flwr_gan.wire.codecs.pieces import Pieces
from flwr_gan.wire.codecs.registry import codec_by_id, plain_codec
from flwr_gan.wire.codecs.sparse.codec import SparseCodec
from flwr_gan.wire.codecs.sparse.parts import is_weight

ALLOWED = "allowed: auto, or auto:MBITS with the link's speed in Mbit/s, such as auto:10"
LINK = ("link",)
"""``auto:link``: the caller that knows a client's link replaces this word by its speed."""

_LARGEST_LINK = 1e6
_BASE_BYTES = 8
"""Bytes that name a base in a payload."""

_FEW_BYTES = 1 << 18
_LEVEL_FOR_FEW, _LEVEL_FOR_MANY = 19, 9
"""Level 9 takes a fraction of the time of ``sparse``, level 19 a multiple."""


@dataclass(frozen=True)
class Cost:
    """Cost of coding with ``spec`` on one core; times are computed from measurements.

    An empty payload takes ``call_us`` microseconds to encode and decode, each weight adds
    ``place_ns`` and each survivor ``survivor_ns`` nanoseconds. The mask takes
    ``mask_factor`` times its entropy.
    """

    spec: str
    call_us: float
    place_ns: float
    survivor_ns: float
    mask_factor: float
    survivor_bytes: float

    def predicted_bytes(self, places: int, survivors: int) -> float:
        """Return the estimated length of a payload."""
        if self.spec == "raw":
            return 4.0 * places
        return self.mask_factor * _mask_bytes(places, survivors) + self.survivor_bytes * survivors

    def predicted_s(self, places: int, survivors: int, mbits: float) -> float:
        """Return the estimated seconds to encode, send and decode."""
        coding = 1e-6 * self.call_us
        coding += 1e-9 * (self.place_ns * places + self.survivor_ns * survivors)
        return coding + 8e-6 * self.predicted_bytes(places, survivors) / mbits


COSTS = (
    Cost("sparse", 900, 1.1, 51, 1.0, 3.3),
    Cost("zstd:3", 75, 2.8, 8, 3.7, 3.7),
    Cost("raw", 31, 2.0, 0, 0, 4),
)
"""Measured by ``python -m experiments.benchmarks.codec_costs``; changed only by hand, because a
change changes payloads. Of equals the first is chosen."""


class AutoCodec(Codec):
    """Chooses a codec for each payload. Lossless.

    With the speed of a link in Mbit/s (10**6 bits per second, above 0 and at most 10**6), it takes
    the least computed time to encode, send and decode; without, the fewest bytes.
    """

    name = "auto"
    wire_id = -1
    general = False  # the codec chosen may have a mask
    takes_base = True

    def __init__(self, *, mbits: float | None = None) -> None:
        self.mbits = mbits
        self.spec = "auto" if mbits is None else f"auto:{mbits:g}"

    @classmethod
    def from_spec(cls, words: tuple[str, ...]) -> Codec:
        """Build ``auto`` or ``auto:MBITS``, or raise ``CodecError``."""
        if not words or words == LINK:
            return cls()
        spec = ":".join((cls.name, *words))
        try:
            mbits = float(words[0])
        except ValueError as error:
            raise CodecError(f"codec {spec!r} cannot be read; {ALLOWED}") from error
        if len(words) > 1 or not 0 < mbits <= _LARGEST_LINK:
            raise CodecError(
                f"codec {spec!r}: a link has above 0 and at most 1e6 Mbit/s; {ALLOWED}"
            )
        return cls(mbits=mbits)

    def select(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Codec:
        """Return the codec for these arrays; it keeps the coding that was made for the choice."""
        if self.mbits is not None:
            spec = "sparse" if base is not None else _quickest(arrays, self.mbits)
            name, *arguments = spec.split(":")
            return _CanonicalRaw() if name == "raw" else plain_codec(name, tuple(arguments))
        sparse = _TriedSparse()
        sparse_bytes = sparse.try_on(arrays, strict=strict, base=base, base_use=base_use)
        if base_use != "auto":
            return sparse
        total = sum(array.nbytes for array in arrays)
        level = _LEVEL_FOR_FEW if total <= _FEW_BYTES else _LEVEL_FOR_MANY
        zstd = _TriedZstd(ZSTD, level=level)
        zstd_bytes = zstd.try_on(arrays, strict=strict)
        if total < min(sparse_bytes, zstd_bytes):
            return _CanonicalRaw()
        return sparse if sparse_bytes <= zstd_bytes else zstd

    def encode_bundle(
        self,
        arrays: Sequence[Array],
        *,
        strict: bool = False,
        base: Sequence[Array] | None = None,
        base_use: BaseUse = "auto",
    ) -> Body:
        """Write the number of the chosen codec, then the arrays coded with it."""
        options = {"strict": strict, "base": base, "base_use": base_use}
        chosen = self.select(arrays, **options)  # type: ignore[arg-type]
        body = chosen.encode_bundle(arrays, **options)  # type: ignore[arg-type]
        return Body(body.mask, Pieces([bytes([chosen.wire_id]), body.values]), body.base_need)

    def decode_bundle(
        self, body: Body, specs: Sequence[ArraySpec], *, base: Sequence[Array] | None = None
    ) -> list[Array]:
        """Decode with the codec whose number comes first."""
        values = body.joined
        if not values:
            raise PayloadError("auto stream is truncated: it does not name its codec")
        rest = Body(body.mask, values[1:], body.base_need)
        return codec_by_id(values[0]).decode_bundle(rest, specs, base=base)


class _Tried(Codec):
    """A codec that keeps the coding of arrays that it has coded already."""

    def try_on(self, arrays: Sequence[Array], **options: Any) -> int:
        """Code the arrays; return the number of bytes in a payload."""
        self._given = [*arrays], options
        body = self._body = super().encode_bundle(arrays, **options)  # type: ignore[safe-super]
        return len(body.mask) + len(body.values) + _BASE_BYTES * (body.base_need != "none")

    def encode_bundle(self, arrays: Sequence[Array], **options: Any) -> Body:
        known, before = self._given
        same = all(one is other for one, other in zip_longest(arrays, known))
        if same and all(options.get(name) is value for name, value in before.items()):
            return self._body
        return super().encode_bundle(arrays, **options)  # type: ignore[safe-super]


class _TriedSparse(_Tried, SparseCodec):
    pass


class _TriedZstd(_Tried, LibraryCodec):
    pass


class _CanonicalRaw(RawCodec):
    """``raw`` for ``auto``: zeros lose their sign, as with the other codecs."""

    keeps_zeros = False


def _quickest(arrays: Sequence[Array], mbits: float) -> str:
    """Return the spec of the best codec for a link of this speed."""
    weights = [array for array in arrays if is_weight(array.dtype)]
    others = sum(array.nbytes for array in arrays) - sum(w.nbytes for w in weights)
    places = sum(w.size for w in weights) + others // 4
    survivors = sum(int(np.count_nonzero(w)) for w in weights) + others // 4
    return min(COSTS, key=lambda cost: cost.predicted_s(places, survivors, mbits)).spec


def _mask_bytes(places: int, survivors: int) -> float:
    bits = 0.0
    for part in (survivors, places - survivors):
        if 0 < part < places:
            bits += part * math.log2(places / part)
    return bits / 8
