"""Lines: broadcasts that are updates, each coded once, for all nodes whatever they have missed.

The server keeps what up-to-date nodes hold of a record, what was lost on the way there, and the
payloads that led there. A node that missed some is sent these, a new node all of them; where that
is longer than all arrays without loss, either is sent those. So all nodes hold the same bits, and
the server's memory does not grow with their number.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flwr_gan.codecs.arrays import Array
from flwr_gan.flower.memory import Remembered

NOTHING = b""
"""In the place of a name: what a node holds is not known, or it holds nothing."""

FROM_SEED = b"seed"
"""In the place of a name: the node was never sent anything, and makes the first arrays itself."""


@dataclass
class Line:
    """What up-to-date nodes hold of a record, and the payloads that led there.

    Parameters
    ----------
    points : list of bytes
        Names what a node holds before each payload, oldest first, and behind the last one.
    end : Remembered
        What up-to-date nodes hold.
    payloads : list of bytes
        One from each point to the next, together at most as long as the arrays, or a single one.
    """

    points: list[bytes]
    end: Remembered
    payloads: list[bytes] = field(default_factory=list)

    def append(self, payload: bytes, end: Remembered) -> None:
        """Lead the line on; the oldest payloads make room."""
        self.end = end
        self.points.append(end.name)
        self.payloads.append(payload)
        room = sum(array.nbytes for array in end.arrays.values())
        while len(self.payloads) > 1 and sum(map(len, self.payloads)) > room:
            del self.points[0], self.payloads[0]

    def payloads_from(self, point: bytes | None) -> tuple[bytes, ...]:
        """Return what leads a node from a point to the end, by the fewest bytes; never nothing."""
        if point == self.points[-1]:
            return (self.end.unchanged,)
        known = [at for at, name in enumerate(self.points) if name == point]
        missed = tuple(self.payloads[known[-1] :]) if known else ()
        if len(missed) == 1 or (missed and sum(map(len, missed)) <= len(self.end.whole)):
            return missed
        return (self.end.whole,)


@dataclass
class Lines:
    """The lines of a server's records.

    A strategy that sends several models at once has no line: ``several`` names such records.
    """

    of: dict[str, Line] = field(default_factory=dict)
    several: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    """Records that were sent in this exchange."""

    def give_up(self, record: str) -> Remembered:
        """Have no line of a record any more; return what its up-to-date nodes hold."""
        self.several.add(record)
        return self.of.pop(record).end

    def state_arrays(self) -> dict[str, Array]:
        """Return the lines as arrays, for a checkpoint."""
        words = []
        for record, line in self.of.items():
            points = [point.hex() for point in line.points]
            words.append([record, line.end.source.hex(), points, [*map(len, line.payloads)]])
        text = json.dumps([words, sorted(self.several)]).encode()
        state = {"lines": np.frombuffer(text, np.uint8)}
        for at, line in enumerate(self.of.values()):
            parts = line.end.state_arrays() | {
                "payloads": np.frombuffer(b"".join(line.payloads), np.uint8)
            }
            state |= {f"{at}/{part}": array for part, array in parts.items()}
        return state

    def load_state_arrays(self, state: Mapping[str, Array]) -> None:
        """Take over what ``state_arrays`` gave; nothing where an earlier version has written it."""
        if "lines" not in state:
            return
        words, several = json.loads(state["lines"].tobytes())
        self.of, self.several = {}, set(several)
        for at, (record, source, points, lengths) in enumerate(words):
            parts = {
                key.removeprefix(f"{at}/"): array
                for key, array in state.items()
                if key.startswith(f"{at}/")
            }
            joined, ends = parts["payloads"].tobytes(), np.cumsum(lengths)
            payloads = [joined[e - n : e] for e, n in zip(ends, lengths, strict=True)]
            end = Remembered.of(parts, bytes.fromhex(source))
            self.of[record] = Line([*map(bytes.fromhex, points)], end, payloads)
