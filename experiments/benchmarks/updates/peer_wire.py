"""The wire of a peer: a grid and a mod that code only weights with it.

A payload is one array of bytes without a header: both sides know names, shapes and types. All
clients take part in each round, so the server knows the arrays that each of them holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.clientapp.typing import ClientAppCallable, Mod
from flwr.serverapp import Grid
from numpy.typing import NDArray

from experiments.benchmarks.updates.peers import Peer
from flwr_gan.flower.records import arrays_to_record, record_to_arrays

Arrays = dict[str, NDArray[Any]]
RECORD, PAYLOAD = "arrays", "payload"
_LENGTH = 4  # bytes


@dataclass
class Sender:
    """One side of a direction: codes arrays and keeps the residual."""

    peer: Peer  # codes the weights
    lost: Arrays = field(default_factory=dict)  # residual of earlier payloads, by name

    def encode(self, arrays: Arrays, held: Arrays) -> bytes:
        """Return the payload of arrays for a receiver that holds the arrays ``held``."""
        parts = []
        for name, array in arrays.items():
            if not is_coded(array) or (self.peer.relative and name not in held):
                parts.append(array.tobytes())
                continue
            wanted = array - held[name] if self.peer.relative else array
            if self.peer.feedback:
                wanted = wanted + self.lost.get(name, np.float32(0))
            data = self.peer.encode(wanted)
            if self.peer.feedback:
                self.lost[name] = wanted - self.peer.decode(data, array.shape)
            parts.append(len(data).to_bytes(_LENGTH, "little") + data)
        return b"".join(parts)


def decode(payload: bytes, like: Arrays, held: Arrays, peer: Peer) -> Arrays:
    """Return the arrays of a payload, with the shapes and types of ``like``."""
    found: Arrays = {}
    at = 0
    for name, array in like.items():
        if not is_coded(array) or (peer.relative and name not in held):
            found[name] = np.frombuffer(payload, array.dtype, array.size, at).reshape(array.shape)
            at += array.nbytes
            continue
        length = int.from_bytes(payload[at : at + _LENGTH], "little")
        at += _LENGTH
        change = peer.decode(payload[at : at + length], array.shape)
        found[name] = held[name] + change if peer.relative else change
        at += length
    return found


def is_coded(array: NDArray[Any]) -> bool:
    """Return whether an array is a matrix of weights."""
    return array.ndim > 1 and array.dtype == np.float32


def peer_mod(peer: Peer, like: Arrays) -> Mod:
    """Return the client's half; it keeps held arrays and residual in ``context.state``."""

    def mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        held = decode(_payload(message), like, _kept(context, "held"), peer)
        if peer.relative:
            context.state["held"] = arrays_to_record(held)
        message.content[RECORD] = arrays_to_record(held)
        reply = call_next(message, context)
        sender = Sender(peer, _kept(context, "lost"))
        _put(reply, sender.encode(_arrays(reply), held))
        context.state["lost"] = arrays_to_record(sender.lost)
        return reply

    return mod


class PeerGrid:
    """The server's half, which wraps a grid; only coded messages differ from those of the grid."""

    def __init__(self, grid: Grid, peer: Peer) -> None:
        self._inner = grid
        self._peer, self._sender = peer, Sender(peer)
        self._held: Arrays = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Code one broadcast for all clients, and decode the replies."""
        sent = list(messages)
        if not sent:
            return []
        arrays = _arrays(sent[0])
        payload = self._sender.encode(arrays, self._held)
        self._held = decode(payload, arrays, self._held, self._peer)
        for message in sent:
            _put(message, payload)
        replies = list(self._inner.send_and_receive(sent, timeout=timeout))
        for reply in replies:
            found = decode(_payload(reply), self._held, self._held, self._peer)
            reply.content[RECORD] = arrays_to_record(found)
        return replies


def _arrays(message: Message) -> Arrays:
    return record_to_arrays(message.content.array_records[RECORD])


def _put(message: Message, payload: bytes) -> None:
    data = np.frombuffer(payload, np.uint8)
    message.content[RECORD] = ArrayRecord({PAYLOAD: Array(data)})


def _payload(message: Message) -> bytes:
    return message.content.array_records[RECORD][PAYLOAD].numpy().tobytes()


def _kept(context: Context, name: str) -> Arrays:
    record = context.state.array_records.get(name)
    return {} if record is None else record_to_arrays(record)
