"""Broadcasts, encoded once per base in use, with error feedback."""

import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from flwr.app import ArrayRecord

from flwr_gan.flower.memory import Remembered, ServerMemory, name_of, record_key
from flwr_gan.flower.records import Arrays, read_record
from flwr_gan.flower.reply import counts_of
from flwr_gan.flower.settings import WireSettings
from flwr_gan.flower.update_chains import FROM_SEED, NOTHING, UpdateChain, UpdateChains
from flwr_gan.wire import PayloadInfo, Template, describe_payload, encode_to_send
from flwr_gan.wire.bundles import without_stages
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.codecs.arrays import canonical_zeros
from flwr_gan.wire.codecs.base import Codec
from flwr_gan.wire.codecs.stage import Stage
from flwr_gan.wire.sent import Sent
from flwr_gan.wire.stages.array_codec import ArrayStagedCodec

FIRST_CODEC = "sparse:int8"
"""Codec of full arrays for a node that holds nothing, if the codec is for changes."""

KEPT_SOURCES = 16  # records sent to many nodes, with their encodings


@dataclass(frozen=True)
class Broadcast:
    """Payloads for one or more nodes (usually one payload), and the arrays that they decode."""

    payloads: tuple[bytes, ...]  # each relative to the one before it
    held: Remembered  # the decoded arrays, and the codec's residual
    source: "Source"
    before: Arrays | None  # the base of the payload, if it has one and it is known
    encode_s: float
    arrived_share: float  # share of a lossy change in the last payload

    @cached_property
    def infos(self) -> list[PayloadInfo]:
        """The payloads' headers."""
        return [describe_payload(payload) for payload in self.payloads]

    @cached_property
    def counts(self) -> tuple[int, int, int]:
        """Parameters, nonzero parameters, and bytes of the arrays."""
        return counts_of(self.held.arrays)


@dataclass
class Source:
    """A record that goes to one node or many.

    It is kept, so that the identity of its bytes stays unique.
    """

    record: ArrayRecord
    arrived_share: float = math.nan  # if a chain of updates was continued to it
    encoded: dict[bytes | None, Broadcast] = field(default_factory=dict)
    receivers: dict[bytes | None, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.arrays, self.opaque = read_record(self.record)

    @cached_property
    def name(self) -> bytes:
        """A name of the arrays by their content."""
        return name_of(self.arrays)


class Broadcaster:
    """Encodes records for nodes, relative to the arrays that each node holds.

    Error feedback: the loss of a broadcast is also missing from the replies to it, since clients
    train from the decoded arrays. So it is added to the next training broadcast, whichever nodes
    that goes to. If a round's nodes were sent different broadcasts, each has its own residual,
    which is added for the nodes that hold that broadcast.

    Codecs with a stage on updates code one chain of updates for all nodes, see
    ``flwr_gan.flower.update_chains``.

    ``by_version`` is for strategies that take replies as changes of the broadcast: nothing is
    missing from these, and broadcasts that a node holds or was sent are kept for it.
    """

    def __init__(self, settings: WireSettings) -> None:
        self._settings = settings
        self._codec = get_codec(settings.down_at(0))
        self._first_point = FROM_SEED if settings.seeded_start else NOTHING
        self.memory = ServerMemory()
        self.chains = UpdateChains()
        self.lost: dict[str, Arrays] = {}
        self.by_version = False
        self._sources: OrderedDict[tuple[int, ...], Source] = OrderedDict()
        self._trained: dict[str, dict[int, Source]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which starts without knowledge of nodes."""
        self._settle()
        fresh = {"memory": ServerMemory(), "chains": UpdateChains(), "_sources": OrderedDict()}
        return {**self.__dict__, **fresh}

    def begin(self, server_round: int) -> None:
        """Begin an exchange of a round."""
        self._settle()
        self._codec = get_codec(self._settings.down_at(server_round))

    def _settle(self) -> None:
        """End an exchange: the losses of its training broadcasts are now known."""
        self.chains.used.clear()
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
        """Encode a record for a node; return its payloads, and whether this call encoded them.

        It is encoded once per distinct record of an exchange and distinct broadcast that its
        receivers hold; with a chain, once per distinct record. Replies to a `training` broadcast
        are relative to the arrays that the node decodes from it.
        """
        started = time.perf_counter()
        source = self._source(record)
        chain = self._chain(source, record_key(name))
        held: bytes | None
        if chain is not None:
            held = self.memory.held.get((node, record_key(name)), self._first_point)
            self.memory.confirm(node, name, NOTHING)  # until it answers
        else:
            held = self.memory.base_of(node, name) if self._settings.memory else None
        encoded_now = held not in source.encoded
        if encoded_now:
            source.encoded[held] = (
                self._encode(source, held, record_key(name), started)
                if chain is None
                else self._along(source, chain, held, started)
            )
        if self.by_version:
            self.memory.sent[node, record_key(name)] = source.encoded[held].held.name
        source.receivers[held] = source.receivers.get(held, 0) + 1
        if training:
            self._trained.setdefault(record_key(name), {})[id(source)] = source
        return source.encoded[held], encoded_now

    def _source(self, record: ArrayRecord) -> Source:
        key = tuple(id(array.data) for array in record.values())
        if key not in self._sources:
            self._sources[key] = Source(record)
            while len(self._sources) > KEPT_SOURCES:
                self._sources.popitem(last=False)
        return self._sources[key]

    def _chain(self, source: Source, record: str) -> UpdateChain | None:
        """Return the chain of a record, continued to the new arrays; None if there is none."""
        if not self._settings.sends_updates or record in self.chains.several:
            return None
        chain = self.chains.of.get(record)
        if chain is None or chain.end.source != source.name:
            if record in self.chains.used:
                self.chains.several.add(record)
                end = self.chains.of.pop(record).end
                self.memory.remember(end.name, end)
                return None
            if chain is None and self._settings.seeded_start:
                arrays = {name: canonical_zeros(array) for name, array in source.arrays.items()}
                end = Remembered(arrays, {}, source.name)
                payload = end.unchanged
            else:
                sent, end = self._sent(source, None if chain is None else chain.end, record)
                payload, source.arrived_share = sent.payload, sent.arrived_share
            chain = self.chains.of.setdefault(record, UpdateChain([self._first_point], end))
            chain.append(payload, end)
        self.chains.used.add(record)
        return chain

    def _along(
        self, source: Source, chain: UpdateChain, held: bytes | None, started: float
    ) -> Broadcast:
        payloads = chain.payloads_from(held)
        before = chain.end.arrays if held == chain.end.name else None
        seconds = time.perf_counter() - started
        return Broadcast(payloads, chain.end, source, before, seconds, source.arrived_share)

    def _encode(self, source: Source, held: bytes | None, record: str, started: float) -> Broadcast:
        earlier = None if held is None else self.memory.broadcasts[held]
        sent, held_now = self._sent(source, earlier, record)
        if self._settings.memory:
            self.memory.remember(held_now.name, held_now, keep_all=self.by_version)
        before = None if earlier is None else earlier.arrays
        seconds = time.perf_counter() - started
        return Broadcast((sent.payload,), held_now, source, before, seconds, sent.arrived_share)

    def _sent(
        self, source: Source, earlier: Remembered | None, record: str
    ) -> tuple[Sent, Remembered]:
        """Return a payload for nodes with an earlier broadcast, and their decoded arrays."""
        wanted: Arrays = source.arrays
        residual, stages = None, None
        # A node that holds nothing is sent all arrays once.
        if earlier is not None:
            chosen = self._settings.selection.of(wanted)
            # In a chain the other broadcasts stay, so that a node can begin with any payload.
            kept = earlier.arrays if self._settings.sends_updates else {}
            names = [name for name in wanted if name in chosen or name in kept]
            wanted = {name: chosen[name] if name in chosen else kept[name] for name in names}
        codec, makes_up = self._codec, bool(self._settings.feedback) and self._codec.contractive
        makes_up = makes_up and not self.by_version
        if earlier is None:
            codec = first_codec(codec, feedback=makes_up)
        again = earlier is not None and not self._codec.lossless and earlier.source == source.name
        if earlier is not None and again:
            wanted = {name: earlier.arrays[name] for name in wanted if name in earlier.arrays}
        elif makes_up:
            residual = self.lost.get(record, {} if earlier is None else earlier.residual)
            residual = self._settings.selection.of(residual)
            stages = None if earlier is None else earlier.stages
        base = None if earlier is None else earlier.base
        sent = encode_to_send(
            wanted,
            codec=codec,
            base=base,
            residual=residual,
            memory=stages,
            self_contained=base is None or base.template.hash != Template.of(wanted).hash,
        )
        left: tuple[Arrays, Arrays] = sent.residual, sent.memory
        if earlier is not None and again:
            left = earlier.residual, earlier.stages
        # Only chains, and the memory of a lossy broadcast, use the name of the source.
        asked = self._settings.sends_updates or (self._settings.memory and not self._codec.lossless)
        return sent, Remembered(sent.decoded, left[0], source.name if asked else NOTHING, left[1])

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint: the arrays that nodes hold, and the residuals."""
        self._settle()
        lost = {record: dict(arrays) for record, arrays in self.lost.items()}
        memory, chains = self.memory.state_dict(), self.chains.state_dict()
        return {"memory": memory, "chains": chains, "lost": lost}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self.memory.load_state_dict(state["memory"])
        self.chains.load_state_dict(state["chains"])
        self.lost = dict(state["lost"])


def first_codec(codec: Codec, *, feedback: bool) -> Codec:
    """Return the codec for a node that holds nothing.

    After a stage on updates, changes may be coded in as little as one bit, which would destroy full
    arrays. So these are coded in 8 bits, or without loss if there is no error feedback.
    """
    behind = codec
    while isinstance(behind, ArrayStagedCodec):
        behind = behind.codec
    stage = getattr(behind, "stage", None)
    if not codec.updates or (isinstance(stage, Stage) and stage.fine):
        return codec
    return get_codec(FIRST_CODEC) if feedback else without_stages(codec)


def _mean_residual(source: Source) -> Arrays:
    """Return the loss of a broadcast, as the mean over its receivers."""
    first, *others = source.encoded.values()
    if all(other.held is first.held for other in others):
        return first.held.residual
    total = sum(source.receivers.values())
    mean: dict[str, np.ndarray[Any, Any]] = {}
    for held in sorted(source.encoded, key=lambda name: name or b""):
        share = np.float32(source.receivers[held] / total)
        for name, array in source.encoded[held].held.residual.items():
            part = share * array
            mean[name] = mean[name] + part if name in mean else part
    return mean
