"""Broadcasts: each encoded once for each base in use, with what the codec lost carried on."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from flwr.app import ArrayRecord

from flwr_gan.codecs import get_codec
from flwr_gan.flower.memory import Remembered, ServerMemory, name_of, slot
from flwr_gan.flower.records import Arrays, Content, Opaque, read_record
from flwr_gan.flower.reply import counts_of
from flwr_gan.flower.settings import WireSettings
from flwr_gan.wire import Base, PayloadInfo, Template, describe_payload, encode_to_send

KEPT_SOURCES = 16  # records that are sent to many nodes, with what was encoded of them


@dataclass(frozen=True)
class Broadcast:
    """One payload for many nodes, and what they hold once they have decoded it.

    Parameters
    ----------
    name : bytes
        Names what they hold.
    payload : bytes
        The coded blob.
    held : Remembered
        What they hold, and what the codec lost.
    source : Source
        What was to be sent.
    before : mapping or None
        What they held before, if the payload is relative to that.
    encode_s : float
        Seconds that encoding took.
    arrived_share : float
        Share of a lossy change that the payload holds.
    """

    name: bytes
    payload: bytes
    held: Remembered
    source: "Source"
    before: Arrays | None
    encode_s: float
    arrived_share: float

    @property
    def arrays(self) -> Arrays:
        """What the nodes hold."""
        return self.held.arrays

    @property
    def base(self) -> Base:
        """What replies are relative to, taken apart once for all of them."""
        return self.held.base

    @cached_property
    def template(self) -> Template:
        """Names, shapes and dtypes of what the nodes hold."""
        return Template.of(self.arrays)

    @cached_property
    def info(self) -> PayloadInfo:
        """What the payload's header says."""
        return describe_payload(self.payload)

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """Parameters, those that are not zero, and bytes of the arrays."""
        return counts_of(self.arrays)


@dataclass
class Source:
    """A record that goes to one node or many.

    Parameters
    ----------
    record : ArrayRecord
        The record; it is kept, so that the identity of its bytes stays its own.
    """

    record: ArrayRecord
    encoded: dict[bytes | None, Broadcast] = field(default_factory=dict)
    receivers: dict[bytes | None, int] = field(default_factory=dict)

    @cached_property
    def arrays(self) -> Arrays:
        """What the record holds."""
        return self._content.arrays

    @cached_property
    def opaque(self) -> Opaque:
        """Which of its entries are opaque."""
        return self._content.opaque

    @cached_property
    def name(self) -> bytes:
        """Names the arrays by what they are, wherever they stand."""
        return name_of(self.arrays)

    @cached_property
    def _content(self) -> Content:
        return read_record(self.record)


class Broadcaster:
    """Encodes records for nodes, relative to what each of them holds.

    Error feedback: what a lossy codec loses of a broadcast is missing from the replies to it as
    well, which begin where the broadcast left their senders. So it is added to the next training
    broadcast, whoever receives that. Where a round's nodes were sent different things, what was
    lost belongs to each of these and is added for the nodes that hold it.

    Parameters
    ----------
    settings : WireSettings
        Settings of the wire.
    """

    def __init__(self, settings: WireSettings) -> None:
        self._settings = settings
        self._codec = get_codec(settings.down)
        self.memory = ServerMemory()
        self.lost: dict[str, Arrays] = {}
        self._sources: OrderedDict[tuple[int, ...], Source] = OrderedDict()
        self._trained: dict[str, dict[int, Source]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which does not know what nodes will hold."""
        self.begin()
        return {**self.__dict__, "memory": ServerMemory(), "_sources": OrderedDict()}

    def begin(self) -> None:
        """Begin an exchange: what the last training broadcasts have lost is known now."""
        for record, sources in self._trained.items():
            self.lost.pop(record, None)
            if len(sources) == 1:
                (source,) = sources.values()
                self.lost[record] = _mean_residual(source)
        self._trained.clear()
        self._sources.clear()

    def broadcast(
        self, record: ArrayRecord, node: int, name: str, *, training: bool
    ) -> tuple[Broadcast, bool]:
        """Encode a record for a node.

        Done once for each distinct record of an exchange and each distinct broadcast that its
        receivers hold.

        Parameters
        ----------
        record : ArrayRecord
            What is to be sent.
        node : int
            Its receiver.
        name : str
            Name of the record in the message.
        training : bool
            The replies begin where this broadcast leaves the node.

        Returns
        -------
        broadcast : Broadcast
            The payload.
        encoded_now : bool
            Whether it was encoded by this call.
        """
        held = self.memory.base_of(node, name) if self._settings.memory else None
        source = self._source(record)
        encoded_now = held not in source.encoded
        if encoded_now:
            source.encoded[held] = self._encode(source, held, slot(name))
        source.receivers[held] = source.receivers.get(held, 0) + 1
        if training:
            self._trained.setdefault(slot(name), {})[id(source)] = source
        return source.encoded[held], encoded_now

    def _source(self, record: ArrayRecord) -> Source:
        key = tuple(id(array.data) for array in record.values())
        if key not in self._sources:
            self._sources[key] = Source(record)
            while len(self._sources) > KEPT_SOURCES:
                self._sources.popitem(last=False)
        return self._sources[key]

    def _encode(self, source: Source, held: bytes | None, record: str) -> Broadcast:
        started = time.perf_counter()
        earlier = None if held is None else self.memory.broadcasts[held]
        wanted, residual = source.arrays, None
        # A node that holds nothing is sent all arrays once.
        wanted = wanted if earlier is None else self._settings.selection.of(wanted)
        again = earlier is not None and not self._codec.lossless and earlier.source == source.name
        if earlier is not None and again:
            wanted = {name: earlier.arrays[name] for name in wanted if name in earlier.arrays}
        elif self._settings.feedback and self._codec.contractive:
            residual = self.lost.get(record, {} if earlier is None else earlier.residual)
        base = None if earlier is None else earlier.base
        sent = encode_to_send(
            wanted,
            codec=self._codec.spec,
            base=base,
            residual=residual,
            self_contained=base is None or base.template.hash != Template.of(wanted).hash,
        )
        lost = earlier.residual if earlier is not None and again else sent.residual
        name = name_of(sent.decoded)
        # Only a memory asks what the source was.
        exact = self._codec.lossless or not self._settings.memory
        held_now = Remembered(sent.decoded, lost, name if exact else source.name)
        if self._settings.memory:
            self.memory.remember(name, held_now)
        before = None if earlier is None else earlier.arrays
        seconds = time.perf_counter() - started
        return Broadcast(name, sent.payload, held_now, source, before, seconds, sent.arrived_share)

    def state_arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return what a checkpoint needs: what nodes hold, and what was lost."""
        self.begin()
        state = {f"memory/{key}": array for key, array in self.memory.state_arrays().items()}
        for record, arrays in self.lost.items():
            state |= {f"lost/{record}/{name}": array for name, array in arrays.items()}
        return state

    def load_state_arrays(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Take over what ``state_arrays`` gave."""
        prefix = "memory/"
        kept = {k.removeprefix(prefix): a for k, a in state.items() if k.startswith(prefix)}
        self.memory.load_state_arrays(kept)
        lost: dict[str, dict[str, Any]] = {}
        for key, array in state.items():
            if key.startswith("lost/"):
                _, record, name = key.split("/", 2)
                lost.setdefault(record, {})[name] = array
        self.lost = dict(lost)


def _mean_residual(source: Source) -> Arrays:
    """Return what was lost of a broadcast, as the mean over its receivers."""
    if len(source.encoded) == 1:
        (broadcast,) = source.encoded.values()
        return broadcast.held.residual
    total = sum(source.receivers.values())
    mean: dict[str, np.ndarray[Any, Any]] = {}
    for held in sorted(source.encoded, key=lambda name: name or b""):
        share = np.float32(source.receivers[held] / total)
        for name, array in source.encoded[held].held.residual.items():
            part = share * array
            mean[name] = mean[name] + part if name in mean else part
    return mean
