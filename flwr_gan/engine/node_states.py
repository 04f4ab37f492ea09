"""The nodes' states between messages: in memory up to a limit, the rest on disk."""

from flwr.app import ArrayRecord, RecordDict

from flwr_gan.core.spill import Spill
from flwr_gan.flower.flwr_private import ProtoRecordDict, recorddict_from_proto, recorddict_to_proto


def node_states(memory_bytes: int) -> Spill[int, RecordDict]:
    """Return a store for the ``context.state`` of each node, by node id.

    If the arrays of all states exceed `memory_bytes`, the least recently set states are moved to
    disk, in Flower's own serialisation.
    """
    return Spill(
        memory_bytes=memory_bytes,
        size=_state_bytes,
        write=lambda state: recorddict_to_proto(state).SerializeToString(),
        read=lambda data: recorddict_from_proto(ProtoRecordDict.FromString(data)),
        what="the state of node",
        remedy="raise state_memory_mb in --backend-config, or let TMPDIR name a folder with "
        "more room",
    )


def _state_bytes(state: RecordDict) -> int:
    """Return the bytes of the arrays of a state and of the bytes in its other records."""
    total = 0
    for record in state.values():
        if isinstance(record, ArrayRecord):
            total += sum(len(array.data) for array in record.values())
        else:
            total += sum(len(value) for value in record.values() if isinstance(value, bytes))
    return total
