"""Frequencies of symbols for rANS, and their coding.

Counts are sent as short floating point numbers; sender and receiver compute the same frequencies
from them, in whole numbers. The bits of masks need only one number: how many of them are set.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.sparse.bits import Bytes, pack_fixed, unpack_fixed
from flwr_gan.wire.codecs.varint import ByteReader, write_varint

SCALE_BITS = 14
SCALE = 1 << SCALE_BITS
"""Sum of the frequencies of a table."""

BITS, PLAIN = 0xFF, 0xFE
"""Markers instead of the number of mantissa bits: each symbol is eight bits of a mask; and
frequencies are sent as they are."""

_MOST_MANTISSA, _EVERY = 7, 8
"""Maximum bits of a mantissa; and the flag in a table's kind for exponents of all symbols, 0 for
symbols that do not occur (without it, bits say which occur)."""

_BEFORE_FIRST = 2
_PARTS = 1 << 16
_MANY = 1 << 16
"""From this many symbols on, exact frequencies are worth their table."""

_BITS_SET = np.array([symbol.bit_count() for symbol in range(256)])


@dataclass(frozen=True, eq=False)
class Table:
    """Frequencies of the 256 symbols, uint32, and the coded table.

    They add up to 2**14; a symbol that cannot occur has 0.
    """

    freqs: Array
    coded: bytes

    @cached_property
    def starts(self) -> Array:
        """The sum of the frequencies of all symbols before each; uint32, shape (256,)."""
        starts: Array = self.freqs.cumsum(dtype=np.uint32) - self.freqs
        return starts

    @cached_property
    def look(self) -> Bytes:
        """The symbol of each of the 2**14 slots."""
        return np.repeat(np.arange(256, dtype=np.uint8), self.freqs)

    def bits(self, counts: Array) -> float:
        """Return the bits of symbols with these counts, the table included."""
        used = np.flatnonzero(counts)
        freqs = self.freqs[used]
        return float(counts[used] @ (SCALE_BITS - np.log2(freqs))) + 8 * len(self.coded)


def entropy_bits(counts: Array) -> float:
    """Return the bits of symbols with these counts, by their entropy; 0 if there are none."""
    used = counts[counts > 0]
    return float(used @ np.log2(used.sum() / used))


def counted_table(counts: Array) -> Table:
    """Return the table for symbols with these counts, as precise as their number is worth."""
    total = int(counts.sum())
    used = np.flatnonzero(counts)
    # The cost of a rounded frequency falls with the square of its precision.
    mantissa = min(max((total // len(used)).bit_length() // 2 - 2, 0), _MOST_MANTISSA)
    low, high = int(used[0]), int(used[-1])
    shown = counts[low : high + 1]
    if total >= _MANY:
        freqs = _shared_out(low, shown)
        plain = freqs[low : high + 1].astype("<u2")
        return Table(freqs, bytes([PLAIN, low, high - low]) + plain.tobytes())
    wanted = np.where(shown, np.maximum((shown * SCALE + total // 2) // total, 1), 0)
    drop = np.maximum(_lengths(wanted) - 1 - mantissa, 0)
    wanted = wanted + (1 << drop >> 1) >> drop << drop
    exponents = _lengths(wanted)
    mantissas = (wanted << mantissa >> np.maximum(exponents - 1, 0) & (1 << mantissa) - 1)[
        shown > 0
    ]
    occurs = exponents > 0
    every, chosen = _written_steps(exponents), _written_steps(exponents[occurs])
    flags = np.packbits(occurs, bitorder="little").tobytes()
    if len(every) <= len(flags) + len(chosen):
        coded = bytes([mantissa | _EVERY, low, high - low]) + write_varint(len(every)) + every
    else:
        coded = bytes([mantissa, low, high - low]) + write_varint(len(chosen)) + flags + chosen
    if mantissa:
        coded += pack_fixed(mantissas.astype(np.uint8), mantissa)
    return Table(_shared_out(low, wanted), coded)


def mask_table(counts: Array) -> Table:
    """Return the table for bytes of eight independent bits, with these counts."""
    of_count = np.bincount(_BITS_SET, counts, minlength=9)
    bits_set, places = int(of_count @ np.arange(9)), 8 * int(counts.sum())
    share = min(max((bits_set * _PARTS + places // 2) // places, 1), _PARTS - 1)
    return _mask_table(share, int(np.flatnonzero(of_count)[-1]))


def read_table(reader: ByteReader) -> Table:
    """Read a table, or raise ``PayloadError``."""
    kind = reader.byte()
    if kind == BITS:
        most, share = reader.byte(), int.from_bytes(reader.take(2), "little")
        if most > 8 or not share:
            raise PayloadError(f"a table of bits has {most} of 8 set, and a share of {share}")
        return _mask_table(share, most)
    mantissa = kind & _MOST_MANTISSA
    if kind & ~(_MOST_MANTISSA | _EVERY) and kind != PLAIN:
        raise PayloadError(f"a table is of kind {kind}, which this version does not know")
    low, span = reader.byte(), reader.byte() + 1
    if low + span > 256:
        raise PayloadError("a table has symbols beyond 255")
    if kind == PLAIN:
        plain = np.frombuffer(reader.take(2 * span), "<u2")
        if int(plain.sum()) != SCALE:
            raise PayloadError("a table has frequencies that do not add up")
        return Table(_placed(low, plain), b"")
    # A step takes 30 bits at most.
    length = reader.varint(limit=4 * span)
    shown = np.ones(span, bool)
    if not kind & _EVERY:
        flags = np.frombuffer(reader.take((span + 7) // 8), np.uint8)
        shown = np.unpackbits(flags, count=span, bitorder="little").view(bool)
    exponents = np.zeros(span, np.int64)
    exponents[shown] = _read_steps(reader.take(length), int(shown.sum()))
    used = np.flatnonzero(exponents)
    if not len(used):
        raise PayloadError("a table has no symbols")
    mantissas = np.zeros(span, np.int64)
    if mantissa:
        more = bytes(reader.take((len(used) * mantissa + 7) // 8))
        mantissas[used] = unpack_fixed(more, mantissa, len(used))
    wanted = (1 << mantissa | mantissas) << np.maximum(exponents - 1, 0) >> mantissa
    return Table(_shared_out(low, np.where(exponents, wanted, 0)), b"")


def _lengths(numbers: Array) -> Array:
    """Return the bit lengths of whole numbers below 2**53."""
    return np.frexp(numbers.astype(np.float64))[1].astype(np.int64)


def _written_steps(exponents: Array) -> bytes:
    """Return each number's step from the one before, zigzag, in unary: zero bits, then a one."""
    steps = exponents.copy()
    steps[1:] -= exponents[:-1]
    steps[:1] -= _BEFORE_FIRST
    ends = np.cumsum(np.where(steps < 0, -2 * steps - 1, 2 * steps) + 1)
    bits = np.zeros(int(ends[-1]), np.uint8)
    bits[ends - 1] = 1
    return np.packbits(bits, bitorder="little").tobytes()


def _read_steps(packed: memoryview, count: int) -> Array:
    """Undo ``_written_steps``, or raise ``PayloadError``."""
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
    ends = np.flatnonzero(bits)
    if len(ends) != count:
        raise PayloadError(f"a table has {len(ends)} steps for {count} symbols")
    zigzag = ends.copy()
    zigzag[1:] -= ends[:-1] + 1
    # -1, -2, ... are written as 1, 3, ..., and 1, 2, ... as 2, 4, ...
    numbers = _BEFORE_FIRST + ((zigzag >> 1) ^ -(zigzag & 1)).cumsum()
    if count and (numbers.min() < 0 or numbers.max() > SCALE_BITS + 1):
        raise PayloadError("a table has a frequency that cannot be")
    return numbers


def _placed(low: int, freqs: Array) -> Array:
    """Return the frequencies of all symbols, given those from ``low`` on; uint32, shape (256,)."""
    every = np.zeros(256, np.uint32)
    every[low : low + len(freqs)] = freqs
    return every


def _shared_out(low: int, wanted: Array) -> Array:
    """Return frequencies in proportion to numbers, those of the symbols from ``low`` on."""
    freqs = np.where(wanted, np.maximum(wanted * SCALE // int(wanted.sum()), 1), 0)
    spare = SCALE - int(freqs.sum())
    while spare:
        most = int(freqs.argmax())
        step = max(spare, -int(freqs[most] // 2))
        freqs[most] += step
        spare -= step
    return _placed(low, freqs)


@lru_cache(maxsize=256)
def _mask_table(share: int, most: int) -> Table:
    """Return the table of bytes with at most ``most`` bits set.

    Bits are independent, each set with a probability of ``share / 2**16``. Every such byte gets one
    slot; the remaining slots are divided by probability.
    """
    of_count = [share**bits * (_PARTS - share) ** (8 - bits) for bits in range(most + 1)]
    shown = sum(math.comb(8, bits) for bits in range(most + 1))
    total = sum(math.comb(8, bits) * weight for bits, weight in enumerate(of_count))
    slots = [1 + (SCALE - shown) * weight // total for weight in of_count] + [0] * (8 - most)
    freqs = np.array(slots)[_BITS_SET]
    freqs[freqs.argmax()] += SCALE - int(freqs.sum())
    return Table(_placed(0, freqs), bytes([BITS, most]) + share.to_bytes(2, "little"))
