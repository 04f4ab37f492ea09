"""What nodes keep between their messages: in memory up to a limit, the rest on disk."""

import tempfile
from collections import OrderedDict
from pathlib import Path

from flwr.app import ArrayRecord, RecordDict

from flwr_gan.errors import OutputError
from flwr_gan.flower.flwr_private import (
    ProtoRecordDict,
    recorddict_from_proto,
    recorddict_to_proto,
)


class NodeStates:
    """The ``context.state`` of each node, by node id.

    An empty state takes no memory. Where the arrays of all states are larger than `memory_bytes`,
    those that were set longest ago are written to a temporary folder, in Flower's own
    serialisation.
    """

    def __init__(self, *, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._held: OrderedDict[int, tuple[RecordDict, int]] = OrderedDict()
        self._held_bytes = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._on_disk: set[int] = set()

    def __getitem__(self, node_id: int) -> RecordDict:
        """Return the state of a node, an empty one if it has kept nothing; or ``OutputError``."""
        if node_id in self._held:
            return self._held[node_id][0]
        if node_id not in self._on_disk:
            return RecordDict()
        try:
            data = self._path(node_id).read_bytes()
        except OSError as error:
            raise OutputError(f"cannot read the state of node {node_id}: {error}") from error
        return recorddict_from_proto(ProtoRecordDict.FromString(data))

    def __setitem__(self, node_id: int, state: RecordDict) -> None:
        """Keep the state of a node; ``OutputError`` when there is no room for it on disk."""
        _, before = self._held.pop(node_id, (None, 0))
        self._held_bytes -= before
        if node_id in self._on_disk:
            self._on_disk.remove(node_id)
            self._path(node_id).unlink(missing_ok=True)
        if not state:
            return
        self._held[node_id] = state, (size := _state_bytes(state))
        self._held_bytes += size
        while self._held_bytes > self._memory_bytes:
            self._write(*next(iter(self._held.items())))

    def __len__(self) -> int:
        """Return how many nodes have kept something."""
        return len(self._held) + len(self._on_disk)

    @property
    def on_disk(self) -> int:
        """How many of them are on disk."""
        return len(self._on_disk)

    def close(self) -> None:
        """Forget all states and remove the temporary folder."""
        self._held.clear()
        self._on_disk.clear()
        self._held_bytes = 0
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _write(self, node_id: int, held: tuple[RecordDict, int]) -> None:
        state, size = held
        try:
            self._path(node_id).write_bytes(recorddict_to_proto(state).SerializeToString())
        except OSError as error:
            raise OutputError(
                f"cannot write the state of node {node_id}: {error}; raise state_memory_mb in "
                "--backend-config, or let TMPDIR name a folder with more room"
            ) from error
        self._on_disk.add(node_id)
        del self._held[node_id]
        self._held_bytes -= size

    def _path(self, node_id: int) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="flwr_gan_states_")
        return Path(self._folder.name) / str(node_id)


def _state_bytes(state: RecordDict) -> int:
    """Return the bytes of the arrays of a state and of the bytes in its other records."""
    total = 0
    for record in state.values():
        if isinstance(record, ArrayRecord):
            total += sum(len(array.data) for array in record.values())
        else:
            total += sum(len(value) for value in record.values() if isinstance(value, bytes))
    return total
