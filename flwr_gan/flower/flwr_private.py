"""All undocumented names of flwr that this package uses, in one place.

``tests/flower/test_flwr_private.py`` checks each of them on every supported version of flwr. No
other file of the package imports a private name of flwr.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from typing import Any

from flwr.app import Message, RecordDict
from flwr.app.message import recorddict
from flwr.app.message.typeddict import TypedDict as TypedDict
from flwr.clientapp.typing import ClientAppCallable as ClientAppCallable
from flwr.common.constant import (
    FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE as FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE,
)
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.common.constant import ErrorCode as ErrorCode
from flwr.common.serde import recorddict_from_proto as recorddict_from_proto
from flwr.common.serde import recorddict_to_proto as recorddict_to_proto
from flwr.compat.common import parameter
from flwr.compat.common.recorddict_compat import fitins_to_recorddict as fitins_to_recorddict
from flwr.compat.common.recorddict_compat import fitres_to_recorddict as fitres_to_recorddict
from flwr.compat.common.recorddict_compat import recorddict_to_fitres as recorddict_to_fitres
from flwr.proto import recorddict_pb2
from flwr.server.compat.grid_client_proxy import GridClientProxy as GridClientProxy
from flwr.supercore.constant import HEAD_BODY_DIVIDER as HEAD_BODY_DIVIDER
from flwr.supercore.constant import HEAD_VALUE_DIVIDER as HEAD_VALUE_DIVIDER
from flwr.supercore.run import Run as Run
from flwr.supercore.task_identity import TaskIdentity

parameter_module = parameter
recorddict_module = recorddict
ProtoRecordDict = recorddict_pb2.RecordDict

# For the engine: ids and identities that Flower's own runtime assigns.

FIRST_NODE_ID = SUPERLINK_NODE_ID + 1
"""The smallest valid node id; Flower refuses replies of a node with a smaller one."""


def take_task_identity(run_id: int) -> None:
    """Make this process the server of a run; messages get their sender and run from it."""
    TaskIdentity.task_id, TaskIdentity.run_id = 1, run_id
    TaskIdentity.node_id = SUPERLINK_NODE_ID


def set_message_id(message: Message, message_id: str) -> None:
    """Give a message its id, as Flower's grids do when a message is pushed."""
    message.metadata.__dict__["_message_id"] = message_id


def own_message(message: Message, content: RecordDict) -> Message:
    """Return a message with other content and the same metadata, without checking it."""
    own = Message.__new__(Message)
    vars(own).update(_metadata=message.metadata, _content=content, _error=None)
    return own


@contextmanager
def node_ids_in_order() -> Iterator[None]:
    """Give the nodes of Flower's simulation the ids 2, 3, ... in the order of their partitions.

    Flower draws them at random without a seed, so that sampling by node id would differ from run to
    run. Other ids are still drawn at random.
    """
    linkstate: Any = import_module("flwr.server.superlink.linkstate.in_memory_linkstate")
    draw = linkstate.generate_rand_int_from_bytes
    node_ids = count(FIRST_NODE_ID)

    def next_or_drawn(num_bytes: int, exclude: set[int] | None = None) -> int:
        of_a_node = exclude == {SUPERLINK_NODE_ID, 0}
        return next(node_ids) if of_a_node else int(draw(num_bytes, exclude))

    linkstate.generate_rand_int_from_bytes = next_or_drawn
    try:
        yield
    finally:
        linkstate.generate_rand_int_from_bytes = draw
