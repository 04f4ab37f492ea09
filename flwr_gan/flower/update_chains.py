"""Chains of updates: each broadcast is coded once for all nodes, even if they missed some.

For each record the server keeps the arrays of up-to-date nodes, the residual, and the payloads that
led to these arrays. A node that missed some payloads is sent these, a new node all of them; if that
is longer than the full arrays without loss, it is sent the full arrays. So all nodes hold the same
bits, and the server's memory does not grow with their number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flwr_gan.flower.memory import Remembered

NOTHING = b""
"""Instead of a name: the node's arrays are unknown, or it holds nothing."""

FROM_SEED = b"seed"
"""Instead of a name: the node was never sent anything and computes the first arrays itself."""


@dataclass
class UpdateChain:
    """The arrays of up-to-date nodes for a record, and the payloads that led to them."""

    points: list[bytes]  # names of a node's arrays before each payload and after the last
    end: Remembered
    payloads: list[bytes] = field(default_factory=list)  # no longer than the arrays, or one

    def append(self, payload: bytes, end: Remembered) -> None:
        """Add an update; drop the oldest payloads if necessary."""
        self.end = end
        self.points.append(end.name)
        self.payloads.append(payload)
        room = sum(array.nbytes for array in end.arrays.values())
        while len(self.payloads) > 1 and sum(map(len, self.payloads)) > room:
            del self.points[0], self.payloads[0]

    def payloads_from(self, point: bytes | None) -> tuple[bytes, ...]:
        """Return the payloads from a point to the end with the fewest bytes, at least one."""
        if point == self.points[-1]:
            return (self.end.unchanged,)
        known = [at for at, name in enumerate(self.points) if name == point]
        missed = tuple(self.payloads[known[-1] :]) if known else ()
        if len(missed) == 1 or (missed and sum(map(len, missed)) <= len(self.end.whole)):
            return missed
        return (self.end.whole,)


@dataclass
class UpdateChains:
    """The chains of a server's records.

    A strategy that sends several models at once has no chain: ``several`` names such records.
    """

    of: dict[str, UpdateChain] = field(default_factory=dict)
    several: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    """Records that were sent in this exchange."""

    def state_dict(self) -> dict[str, Any]:
        """Return the chains, for a checkpoint."""
        chains = {
            record: {
                "points": [point.hex() for point in chain.points],
                "end": chain.end.state_dict(),
                "payloads": list(chain.payloads),
            }
            for record, chain in self.of.items()
        }
        return {"chains": chains, "several": sorted(self.several)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self.several = set(state["several"])
        self.of = {
            record: UpdateChain(
                points=[*map(bytes.fromhex, chain["points"])],
                end=Remembered.of(chain["end"]),
                payloads=chain["payloads"],
            )
            for record, chain in state["chains"].items()
        }
