"""A node's memory between messages, also on disk, so that a run can resume in another process."""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message
from numpy.typing import NDArray

from flwr_gan.atomic import replacing
from flwr_gan.errors import OutputError
from flwr_gan.flower.flwr_private import ClientAppCallable

CONFIG = "config"  # in the place of a serialisation: bytes of a config record
KEPT_ROUNDS = 3  # a run may be killed while clients are two rounds ahead of the last checkpoint


class StateMod:
    """A mod that keeps ``context.state`` on disk.

    It is saved after each answered message, and loaded where a node starts with an empty one.

    It goes before the other mods, so that what they remember is kept too. Array records are kept
    and bytes in config records; the round is the message's group id, as Flower's server sets it.

    Parameters
    ----------
    folder_of : callable
        Gives the folder of a node's files, from its context.
    """

    def __init__(self, folder_of: Callable[[Context], Path]) -> None:
        self._folder_of = folder_of

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Handle a message."""
        server_round = int(message.metadata.group_id or 0)
        folder = self._folder_of(context)
        if not context.state:
            load_state(folder, context, before=server_round)
        reply = call_next(message, context)
        if reply.has_content() and context.state:
            save_state(folder, context, server_round)
        return reply


def save_state(folder: Path, context: Context, server_round: int) -> None:
    """Write the records of a state as those of a round; the oldest files make room."""
    arrays: dict[str, NDArray[Any]] = {}
    for record, array_record in context.state.array_records.items():
        for key, array in array_record.items():
            name = f"{record}|{array.stype}|{key}"
            arrays[name] = np.frombuffer(array.data, dtype=np.uint8)
    for record, config_record in context.state.config_records.items():
        for key, value in config_record.items():
            if isinstance(value, bytes):
                arrays[f"{record}|{CONFIG}|{key}"] = np.frombuffer(value, dtype=np.uint8)
    write_arrays(_path(folder, server_round), arrays)
    for old in sorted(_rounds(folder))[:-KEPT_ROUNDS]:
        _path(folder, old).unlink(missing_ok=True)


def load_state(folder: Path, context: Context, *, before: int) -> None:
    """Fill a state with what the latest round before `before` left, if any did.

    Raises
    ------
    OutputError
        When a state file cannot be read.
    """
    rounds = [found for found in _rounds(folder) if found < before]
    if not rounds:
        return
    records: dict[str, dict[str, Array]] = {}
    for name, data in read_arrays(_path(folder, max(rounds))).items():
        record, stype, key = name.split("|", 2)
        if stype == CONFIG:
            config = context.state.config_records.get(record, ConfigRecord())
            config[key] = data.tobytes()
            context.state.config_records[record] = config
            continue
        array = Array(dtype="", shape=(), stype=stype, data=data.tobytes())
        records.setdefault(record, {})[key] = array
    for record, array_dict in records.items():
        context.state.array_records[record] = ArrayRecord(array_dict)


def _path(folder: Path, server_round: int) -> Path:
    return folder / f"round-{server_round:05d}.npz"


def _rounds(folder: Path) -> Iterator[int]:
    for path in folder.glob("round-*.npz"):
        if match := re.fullmatch(r"round-(\d+)\.npz", path.name):
            yield int(match[1])


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
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise OutputError(f"cannot read {path}: {reason}; start a new run") from error
