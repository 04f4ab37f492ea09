"""What the server needs to go on after its last finished round, in one file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flwr.common import NDArrays

from flwr_gan.core.tree import read_tree, write_tree
from flwr_gan.errors import OutputError
from flwr_gan.wire.ledger import Ledger, MessageRow


@dataclass(frozen=True)
class Checkpoint:
    """The state of the server between two rounds.

    Parameters
    ----------
    parameters : list of ndarray
        Global parameters.
    strategy : dict
        What the strategy itself remembers, as a tree.
    ledger : Ledger
        Rows of all messages so far.
    rounds : list of dict
        A row for each finished round.
    memory : dict
        What the wire knows each node to hold, and what lossy codecs have lost.
    seconds : float
        Wall time so far.
    """

    parameters: NDArrays
    strategy: dict[str, Any]
    ledger: Ledger
    rounds: list[dict[str, Any]]
    memory: dict[str, Any]
    seconds: float

    def write(self, folder: Path) -> None:
        """Replace the checkpoint of a run's output folder, completely or not at all."""
        rows = [asdict(row) for row in self.ledger.rows]
        write_tree(_path(folder), vars(self) | {"ledger": rows})

    @classmethod
    def read(cls, folder: Path) -> "Checkpoint | None":
        """Return the checkpoint of an output folder, None when no round was finished.

        Raises
        ------
        OutputError
            When it cannot be read.
        """
        if not _path(folder).exists():
            return None
        tree = read_tree(_path(folder))
        try:
            tree["ledger"] = Ledger([MessageRow(**row) for row in tree["ledger"]])
            return cls(**tree)
        except (KeyError, TypeError) as error:
            raise OutputError(f"{_path(folder)} is damaged: {error}; start a new run") from error


def _path(folder: Path) -> Path:
    return folder / "checkpoint" / "server.npz"
