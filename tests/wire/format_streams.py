"""Streams read as FORMAT.md says in section 5, in whole numbers alone: nothing of the package."""

import math


class Page:
    """Reads bytes, varints and streams from the front of a byte string."""

    def __init__(self, data):
        self.data = bytes(data)

    def take(self, count):
        taken, self.data = self.data[:count], self.data[count:]
        assert len(taken) == count
        return taken

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        group = self.byte()
        return group & 127 | (self.varint() << 7 if group > 127 else 0)

    def bits(self, count):
        packed = self.take((count + 7) // 8)
        return [packed[at >> 3] >> (at & 7) & 1 for at in range(count)]

    def words(self, count, size):
        return [int.from_bytes(self.take(size), "little") for _ in range(count)]

    def stream(self, n):
        if not n:
            return []
        lead = self.varint()
        inside = Page(self.take(lead // 4))
        methods = [inside._stored, inside._constant, inside._rans]
        symbols = methods[lead % 4](n)
        assert not inside.data
        return symbols

    def _stored(self, n):
        return list(self.take(n))

    def _constant(self, n):
        return [self.byte()] * n

    def _rans(self, n):
        head = self.byte()
        lanes, count = 1 << head % 16, head // 16 + 1
        count = self.varint() if count == 16 else count
        lengths = [self.varint() for _ in range(count - 1)]
        tables = [self.table() for _ in range(count)]
        of_each = [at for at, length in enumerate(lengths) for _ in range(length)]
        of_each += [count - 1] * (n - sum(lengths))
        states, lengths = self.words(lanes, 4), []
        if lanes >= 32:
            least, width = self.varint(), self.byte()
            more = self.bits(lanes * width)
            for at in range(0, lanes * width, width or 1):
                lengths.append(sum(bit << i for i, bit in enumerate(more[at : at + width])))
            lengths = [least + length for length in lengths or [0] * lanes]
        words = [iter(self.words(length, 2)) for length in lengths]
        words = words or [iter(self.words(len(self.data) // 2, 2))]
        coded = n - 2 * lanes if n >= 2 * lanes else n
        symbols = []
        for i in range(coded):
            frequencies, x = tables[of_each[i]], states[i % lanes]
            slot, start, symbol = x % 2**14, 0, 0
            while start + frequencies[symbol] <= slot:
                start, symbol = start + frequencies[symbol], symbol + 1
            x = frequencies[symbol] * (x // 2**14) + slot - start
            states[i % lanes] = x if x >= 2**16 else x * 2**16 + next(words[i % len(words)])
            symbols.append(symbol)
        assert all(list(left) == [] for left in words)
        assert all(x // 2**16 == 1 for x in states)
        if coded == n:
            return symbols
        return symbols + [x // 256 % 256 for x in states] + [x % 256 for x in states]

    def table(self):
        kind = self.byte()
        if kind == 0xFF:
            return self._table_of_bits()
        low, span = self.byte(), self.byte() + 1
        if kind == 0xFE:
            return [0] * low + self.words(span, 2) + [0] * (256 - low - span)
        length = self.varint()
        occurs = self.bits(span) if kind < 8 else [1] * span
        steps = Page(self.take(length)).bits(8 * length)
        exponents = []
        exponent = 2
        for one in occurs:
            if one:
                zeros = steps.index(1)
                steps = steps[zeros + 1 :]
                exponent += zeros // 2 if zeros % 2 == 0 else -(zeros + 1) // 2
            exponents.append(exponent if one else 0)
        k = kind % 8
        mantissas = self.bits(k * sum(map(bool, exponents)))
        weights = []
        for e in exponents:
            f = sum(mantissas.pop(0) << bit for bit in range(k)) if e else 0
            weights.append((2**k + f) * 2**e // 2 // 2**k)
        total = sum(weights)
        shared = [max(w * 2**14 // total, 1) if w else 0 for w in weights]
        while sum(shared) != 2**14:
            missing = 2**14 - sum(shared)
            largest = shared.index(max(shared))
            shared[largest] += missing if missing > 0 else -min(-missing, shared[largest] // 2)
        return [0] * low + shared + [0] * (256 - low - span)

    def _table_of_bits(self):
        most = self.byte()
        (p,) = self.words(1, 2)
        counts = [symbol.bit_count() for symbol in range(256)]
        weights = [p**c * (2**16 - p) ** (8 - c) if c <= most else 0 for c in counts]
        shown = sum(math.comb(8, c) for c in range(most + 1))
        total = sum(weights)
        shared = [1 + (2**14 - shown) * w // total if w else 0 for w in weights]
        shared[shared.index(max(shared))] += 2**14 - sum(shared)
        return shared
