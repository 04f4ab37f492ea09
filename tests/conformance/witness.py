"""What was sent and what arrived, in both directions, seen just outside the wire.

The client's side is a mod that stands between the wire and the app, the server's side the strategy
itself, whose class is extended by ``observed``. Neither knows whether there is a wire between them.
"""

import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from flwr.app import ArrayRecord, Context, Message
from flwr.clientapp.typing import ClientAppCallable
from flwr.common import Parameters

NUMPY = "numpy.ndarray"
NO_TENSORS = "_empty"
"""Key under which flwr's legacy records say that there are no tensors."""


@dataclass(frozen=True)
class Seen:
    """An array as it was sent or as it arrived."""

    name: str
    stype: str
    dtype: str
    data: bytes

    @cached_property
    def value(self) -> np.ndarray[Any, Any] | None:
        """Return the array, or None for bytes that are none."""
        if self.stype != NUMPY:
            return None
        return np.load(io.BytesIO(self.data), allow_pickle=False)

    @cached_property
    def kind(self) -> str:
        """Return type and shape as text."""
        if self.value is None:
            return f"{self.stype or 'untyped'} bytes"
        return f"{self.dtype or self.value.dtype} {self.value.shape}"

    def is_like(self, other: "Seen") -> bool:
        """Tell whether type and shape are the same; the legacy API does not always say the type."""
        if self.value is None or other.value is None or (self.dtype and other.dtype):
            return self.kind == other.kind
        mine, others = self.value, other.value
        return (mine.dtype, mine.shape) == (others.dtype, others.shape)


class Place(NamedTuple):
    """Where arrays were seen: direction, purpose, round and node."""

    direction: str
    purpose: str
    server_round: int
    node: int

    def __str__(self) -> str:
        to = "to" if self.direction == "down" else "from"
        return f"round {self.server_round}, {self.purpose}, {to} node {self.node}"


@dataclass
class Witness:
    """Everything that a run shows.

    Attributes
    ----------
    sent, arrived : dict
        Arrays by place.
    replies : list of tuple
        Purpose, round, number of results and number of failures, in order.
    metrics : list of tuple
        Purpose, round and what the strategy made of the clients' metrics, in order.
    scores : dict of int to list
        Loss, accuracy and examples of each client's evaluation, by round.
    arrays : list of Seen or None
        The last arrays that the strategy made.
    """

    sent: dict[Place, list[Seen]] = field(default_factory=dict)
    arrived: dict[Place, list[Seen]] = field(default_factory=dict)
    replies: list[tuple[str, int, int, int]] = field(default_factory=list)
    metrics: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    scores: dict[int, list[tuple[float, float | None, int]]] = field(default_factory=dict)
    arrays: list[Seen] | None = None
    server_round: int = 0

    def mod(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Note what arrives at the app and what it sends."""
        purpose, node = message.metadata.message_type.split(".")[0], message.metadata.dst_node_id
        self._note(self.arrived, "down", purpose, node, message.content)
        reply = call_next(message, context)
        if reply.has_content():
            self._note(self.sent, "up", purpose, node, reply.content)
        return reply

    def _note(self, notes: Any, direction: str, purpose: str, node: int, content: Any) -> None:
        for record in content.array_records.values():
            notes[Place(direction, purpose, self.server_round, node)] = seen_in_record(record)

    def note_sent(self, purpose: str, node: int, arrays: list[Seen]) -> None:
        """Note what the strategy sends to a node."""
        self.sent[Place("down", purpose, self.server_round, node)] = arrays

    def note_arrived(self, purpose: str, node: int, arrays: list[Seen]) -> None:
        """Note what a node's reply brings to the strategy."""
        self.arrived[Place("up", purpose, self.server_round, node)] = arrays


def seen_in_record(record: ArrayRecord) -> list[Seen]:
    """Return the arrays of a record, copied."""
    return [
        Seen(name, array.stype, array.dtype, bytes(array.data))
        for name, array in record.items()
        if name != NO_TENSORS
    ]


def seen_in_parameters(parameters: Parameters) -> list[Seen]:
    """Return the arrays of the legacy API's parameters, copied."""
    stype = parameters.tensor_type
    return [Seen(str(i), stype, "", bytes(t)) for i, t in enumerate(parameters.tensors)]


def floats(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return bfloat16, which arrives as two bytes of no type, as float32; others as they are."""
    if array.dtype == np.dtype("V2"):
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array
