"""Checkpoint of the server after its last finished round, in one file."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flwr.common import NDArrays

from flwr_gan.core.tree import read_tree, write_tree
from flwr_gan.errors import OutputError
from flwr_gan.wire.ledger import Ledger, MessageRow


@dataclass(frozen=True)
class Checkpoint:
    """The state of the server between two rounds."""

    parameters: NDArrays
    strategy: dict[str, Any]  # its state, as a tree
    ledgers: dict[str, Ledger]  # "": the run's; by spec: those of compared codecs
    rounds: list[dict[str, Any]]  # one row per finished round
    spending: list[dict[str, Any]]  # one row per client and round, with private training
    memory: dict[str, Any]  # the wire's memory of nodes' arrays and residuals
    seconds: float  # wall time so far
    clock: dict[str, Any] = field(default_factory=dict)  # virtual time, if there is a clock

    def write(self, folder: Path) -> None:
        """Replace the checkpoint of a run's output folder atomically."""
        rows = {codec: [*map(asdict, ledger.rows)] for codec, ledger in self.ledgers.items()}
        write_tree(_path(folder), vars(self) | {"ledgers": rows})

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint | None":
        """Return the checkpoint of an output folder, None if no round was finished.

        Raises ``OutputError``.
        """
        if not _path(folder).exists():
            return None
        tree = read_tree(_path(folder))
        try:
            tree["ledgers"] = {
                codec: Ledger([MessageRow(**row) for row in rows])
                for codec, rows in tree["ledgers"].items()
            }
            return cls(**tree)
        except (KeyError, TypeError) as error:
            raise OutputError(f"{_path(folder)} is damaged: {error}; start a new run") from error


def _path(folder: Path) -> Path:
    return folder / "checkpoint" / "server.npz"
