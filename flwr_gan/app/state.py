"""A node's state between messages, also on disk, so that another process can resume a run."""

import re
from collections.abc import Iterator
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message

from flwr_gan.app.nodes import SETTINGS, state_folder
from flwr_gan.core.tree import read_tree, write_tree
from flwr_gan.flower.flwr_private import ClientAppCallable

KEPT_ROUNDS = 3  # a run may be killed while clients are two rounds ahead of the last checkpoint


def state_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Keep ``context.state`` on disk, in the node's ``state_folder``.

    The state is saved after each answered message, and loaded when a node starts with an empty one.
    The mod comes before the other mods, so that their state is kept too. Array records and bytes in
    config records are kept; the round is the message's group id, as set by Flower's server.
    """
    server_round = int(message.metadata.group_id or 0)
    folder = state_folder(context)
    if set(context.state) <= {SETTINGS}:
        load_state(folder, context, before=server_round)
    reply = call_next(message, context)
    if reply.has_content() and set(context.state) - {SETTINGS}:
        save_state(folder, context, server_round)
    return reply


def save_state(folder: Path, context: Context, server_round: int) -> None:
    """Write the records of a state for a round; delete the oldest files."""
    arrays = {
        record: {key: [array.stype, array.data] for key, array in arrays.items()}
        for record, arrays in context.state.array_records.items()
    }
    configs = {
        record: {key: value for key, value in config.items() if isinstance(value, bytes)}
        for record, config in context.state.config_records.items()
        if record != SETTINGS
    }
    write_tree(_path(folder, server_round), {"arrays": arrays, "configs": configs})
    for old in sorted(_rounds(folder))[:-KEPT_ROUNDS]:
        _path(folder, old).unlink(missing_ok=True)


def load_state(folder: Path, context: Context, *, before: int) -> None:
    """Fill a state with that of the latest round before `before`, if any.

    Raises ``OutputError``.
    """
    rounds = [found for found in _rounds(folder) if found < before]
    if not rounds:
        return
    tree = read_tree(_path(folder, max(rounds)))
    for record, arrays in tree["arrays"].items():
        context.state.array_records[record] = ArrayRecord(
            {
                key: Array(dtype="", shape=(), stype=stype, data=data)
                for key, (stype, data) in arrays.items()
            }
        )
    for record, config in tree["configs"].items():
        context.state.config_records[record] = ConfigRecord(config)


def _path(folder: Path, server_round: int) -> Path:
    return folder / f"round-{server_round:05d}.npz"


def _rounds(folder: Path) -> Iterator[int]:
    for path in folder.glob("round-*.npz"):
        if match := re.fullmatch(r"round-(\d+)\.npz", path.name):
            yield int(match[1])
