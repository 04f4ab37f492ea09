"""What one run leaves: a row a check, the best generators by phase, and their final scores."""

# N samples

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Snapshot:
    """A generator at a check."""

    arrays: Arrays  # its weights, pruned ones as +0.0
    check: dict[str, Any]  # the row of the check


@dataclass
class Keeper:
    """Collects the checks of a run and keeps the best generator of each phase."""

    # one row a check: update, images, operations, score, phase, sparsity by layer
    checks: list[dict[str, Any]] = field(default_factory=list)
    # by phase and for ``"best"``, whatever the phase: the generator of the lowest score. The score
    # is of training samples, so the choice has not seen the test part
    best: dict[str, Snapshot] = field(default_factory=dict)
    last: Snapshot | None = None

    def add(self, check: dict[str, Any], arrays: Arrays, *, counts: bool = True) -> None:
        """Take a check; ``counts=False`` keeps the row alone."""
        self.checks.append(check)
        if not counts:
            return
        snapshot = Snapshot(arrays, check)
        self.last = snapshot
        for key in ("best", check["phase"]):
            if key not in self.best or check["score"] < self.best[key].check["score"]:
                self.best[key] = snapshot

    def outputs(self) -> dict[str, Snapshot]:
        """Return the generators that are scored in the end, by name."""
        return self.best | ({"last": self.last} if self.last else {})
