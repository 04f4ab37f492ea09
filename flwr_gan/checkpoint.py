"""What the server needs to go on after its last finished round, in one file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flwr.common import NDArrays
from numpy.typing import NDArray

from flwr_gan.app.state import read_arrays, write_arrays
from flwr_gan.errors import OutputError
from flwr_gan.wire.ledger import Ledger, MessageRow


@dataclass(frozen=True)
class Checkpoint:
    """The state of the server between two rounds.

    Parameters
    ----------
    parameters : list of ndarray
        Global parameters.
    strategy : dict of str to ndarray
        What the strategy itself remembers.
    ledger : Ledger
        Rows of all messages so far.
    rounds : list of dict
        A row for each finished round.
    memory : dict of str to ndarray
        What the wire knows each node to hold, and what lossy codecs have lost.
    seconds : float
        Wall time so far.
    """

    parameters: NDArrays
    strategy: dict[str, NDArray[Any]]
    ledger: Ledger
    rounds: list[dict[str, Any]]
    memory: dict[str, NDArray[Any]]
    seconds: float

    def write(self, folder: Path) -> None:
        """Replace the checkpoint of a run's output folder, completely or not at all."""
        arrays: dict[str, NDArray[Any]] = {"seconds": np.array([self.seconds])}
        arrays |= {f"parameters/{i:03d}": array for i, array in enumerate(self.parameters)}
        arrays |= {f"strategy/{name}": array for name, array in self.strategy.items()}
        arrays |= {f"memory/{name}": array for name, array in self.memory.items()}
        arrays["ledger"] = _to_bytes([asdict(row) for row in self.ledger.rows])
        arrays["rounds"] = _to_bytes(self.rounds)
        write_arrays(_path(folder), arrays)

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
        arrays = read_arrays(_path(folder))
        try:
            return cls(
                parameters=[arrays[n] for n in sorted(arrays) if n.startswith("parameters/")],
                strategy=_under("strategy/", arrays),
                memory=_under("memory/", arrays),
                ledger=Ledger([MessageRow(**row) for row in _from_bytes(arrays["ledger"])]),
                rounds=_from_bytes(arrays["rounds"]),
                seconds=float(arrays["seconds"][0]),
            )
        except (KeyError, ValueError, TypeError) as error:
            raise OutputError(f"{_path(folder)} is damaged: {error}; start a new run") from error


def _path(folder: Path) -> Path:
    return folder / "checkpoint" / "server.npz"


def _under(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {n.removeprefix(prefix): array for n, array in arrays.items() if n.startswith(prefix)}


def _to_bytes(rows: list[dict[str, Any]]) -> NDArray[np.uint8]:
    """Return rows as JSON, which keeps every bit of a float."""
    return np.frombuffer(json.dumps(rows).encode(), dtype=np.uint8)


def _from_bytes(data: NDArray[np.uint8]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(data.tobytes())
    return rows
