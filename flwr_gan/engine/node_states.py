"""The nodes' states between messages: in memory up to a limit, the rest on disk."""

from flwr.app import ArrayRecord, RecordDict

from flwr_gan.core.spill import Spill
from flwr_gan.flower.flwr_private import (
    ProtoRecordDict,
    recorddict_from_proto,
    recorddict_to_proto,
)


class NodeStates:
    """The ``context.state`` of each node, by node id.

    An empty state takes no memory. If the arrays of all states exceed `memory_bytes`, the least
    recently set states are moved to disk, in Flower's own serialisation.
    """

    def __init__(self, *, memory_bytes: int) -> None:
        self._kept: Spill[int, RecordDict] = Spill(
            memory_bytes=memory_bytes,
            size=_state_bytes,
            write=lambda state: recorddict_to_proto(state).SerializeToString(),
            read=lambda data: recorddict_from_proto(ProtoRecordDict.FromString(data)),
            what="the state of node",
            remedy="raise state_memory_mb in --backend-config, or let TMPDIR name a folder with "
            "more room",
        )

    def __getitem__(self, node_id: int) -> RecordDict:
        """Return the state of a node, an empty one if it has kept nothing; or ``OutputError``."""
        found = self._kept.get(node_id)
        return RecordDict() if found is None else found

    def __setitem__(self, node_id: int, state: RecordDict) -> None:
        """Keep the state of a node; ``OutputError`` when there is no room for it on disk."""
        if state:
            self._kept.put(node_id, state)
        else:
            self._kept.drop(node_id)

    def __len__(self) -> int:
        """Return the number of nodes with a state."""
        return len(self._kept)

    @property
    def on_disk(self) -> int:
        """Number of states on disk."""
        return self._kept.on_disk

    def close(self) -> None:
        """Forget all states and remove the temporary folder."""
        self._kept.close()


def _state_bytes(state: RecordDict) -> int:
    """Return the bytes of the arrays of a state and of the bytes in its other records."""
    total = 0
    for record in state.values():
        if isinstance(record, ArrayRecord):
            total += sum(len(array.data) for array in record.values())
        else:
            total += sum(len(value) for value in record.values() if isinstance(value, bytes))
    return total
