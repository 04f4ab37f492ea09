"""A client's memory between rounds: in ``context.state``, and on disk so that a run can resume."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context
from numpy.typing import NDArray

from flwr_gan.atomic import replacing
from flwr_gan.errors import OutputError
from flwr_gan.flower.records import arrays_to_record, record_to_arrays

RECORD = "flwr_gan.trainer"
KEPT_ROUNDS = 2  # a run may be killed while some clients are one round ahead of the server


class ClientState:
    """Named arrays that survive from one message to the next.

    Parameters
    ----------
    context : Context
        Flower's context of the node; its state is the memory.
    folder : Path
        Where each round's state is also written, for a run that resumes in another process.
    """

    def __init__(self, context: Context, folder: Path) -> None:
        self._context = context
        self._folder = folder

    def load(self, server_round: int) -> dict[str, NDArray[Any]] | None:
        """Return the arrays as the latest round before `server_round` left them, None if none did.

        Raises
        ------
        OutputError
            When a state file cannot be read.
        """
        if RECORD in self._context.state.array_records:
            return record_to_arrays(self._context.state.array_records[RECORD])
        rounds = [r for r in self._rounds() if r < server_round]
        return read_arrays(self._path(max(rounds))) if rounds else None

    def save(self, server_round: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Remember the arrays as what `server_round` left."""
        self._context.state.array_records[RECORD] = arrays_to_record(arrays)
        write_arrays(self._path(server_round), arrays)
        for old in sorted(self._rounds())[:-KEPT_ROUNDS]:
            self._path(old).unlink(missing_ok=True)

    def _path(self, server_round: int) -> Path:
        return self._folder / f"round-{server_round:05d}.npz"

    def _rounds(self) -> list[int]:
        found = (re.fullmatch(r"round-(\d+)\.npz", p.name) for p in self._folder.glob("round-*"))
        return [int(match[1]) for match in found if match]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to an npz file, completely or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read what ``write_arrays`` wrote.

    Raises
    ------
    OutputError
        When the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"cannot read {path}: {error}; resume from another folder") from error
