"""Arrays that a sender knows its receiver holds, as bases for payloads.

The server remembers its last broadcasts and which of them each node has confirmed by a reply; a
node remembers the last broadcast that it decoded. A node without its memory replies
``unknown_base`` and is sent the next payload in full.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from flwr.app import ConfigRecord, Context

from flwr_gan.errors import PayloadError
from flwr_gan.flower.records import Arrays
from flwr_gan.wire import Base, Template, decode_payload, describe_payload, encode_payload
from flwr_gan.wire.checksum import crc32

KEPT_BROADCASTS = 4  # a node that missed more rounds is sent everything
CLIENT_RECORD = "flwr_gan.wire"
UNKNOWN_BASE = "unknown_base"
WHOLE_CODEC = "sparse"  # for all arrays of a broadcast sent without loss
STATE_CODEC = "zstd:1"  # for a node's state: fast, and short for pruned weights

_BLOCK = 1 << 16
_PARTS = ("arrays", "residual", "stages")

Left = Literal["held", "residual", "stages", "progress", "own"]
"""The last broadcast, and the state after an upload: the residual, the memory of stages, with EF21
the progress, and the node's own arrays that are not sent."""

# A training message and an evaluation message of the legacy API carry the same model.
_LEGACY_MODEL = ("fitins.parameters", "evaluateins.parameters", "fitres.parameters")


def record_key(record: str) -> str:
    """Return the key of a record of arrays; records with the same model share a key."""
    return "parameters" if record in _LEGACY_MODEL else record


def name_of(arrays: Arrays) -> bytes:
    """Return an 8-byte name of arrays from the template and all bytes of their values.

    It distinguishes a server's own broadcasts and is never sent, so a hash of the checksums of
    blocks is enough; it takes a tenth of the time of a hash of all bytes.
    """
    digest = hashlib.sha256(Template.of(arrays).hash)
    for array in arrays.values():
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        for at in range(0, len(data), _BLOCK):
            digest.update(crc32(data[at : at + _BLOCK]).to_bytes(4, "little"))
    return digest.digest()[:8]


@dataclass(frozen=True)
class Remembered:
    """A broadcast as its receivers decoded it."""

    arrays: Arrays
    residual: Arrays  # the loss of the codec
    source: bytes  # name of the arrays that the strategy sent
    stages: Arrays = field(default_factory=dict)  # memory of the codec's stages

    @cached_property
    def base(self) -> Base:
        """The arrays as a base of replies and later broadcasts, computed once."""
        return Base(self.arrays)

    @cached_property
    def template(self) -> Template:
        """Names, shapes and dtypes of the arrays."""
        return Template.of(self.arrays)

    @cached_property
    def name(self) -> bytes:
        """Name of the arrays."""
        return name_of(self.arrays)

    @cached_property
    def whole(self) -> bytes:
        """A lossless payload of the arrays without base."""
        return encode_payload(self.arrays, codec=WHOLE_CODEC, strict=True)

    @cached_property
    def unchanged(self) -> bytes:
        """A payload with the hash of the arrays, for a node that already holds them."""
        return encode_payload(
            self.arrays, codec=WHOLE_CODEC, base=self.base, self_contained=False, strict=True
        )

    @cached_property
    def _packed(self) -> dict[str, bytes]:
        parts = {part: getattr(self, part) for part in _PARTS}
        return {part: packed_bytes(arrays) for part, arrays in parts.items() if arrays}

    def state_dict(self) -> dict[str, bytes]:
        """Return the state for a checkpoint; packed only the first time."""
        return self._packed | {"source": self.source}

    @classmethod
    def of(cls, state: Mapping[str, bytes]) -> "Remembered":
        """Return the object whose ``state_dict`` this is."""
        parts = {part: unpacked(state[part]) if part in state else {} for part in _PARTS}
        return cls(source=state["source"], **parts)


@dataclass
class ServerMemory:
    """The last broadcasts, and the one that each node holds."""

    broadcasts: "OrderedDict[bytes, Remembered]" = field(default_factory=OrderedDict)
    held: dict[tuple[int, str], bytes] = field(default_factory=dict)
    sent: dict[tuple[int, str], bytes] = field(default_factory=dict)  # last sent, confirmed or not

    def base_of(self, node: int, record: str) -> bytes | None:
        """Return the name of a node's broadcast, None if the server has forgotten it."""
        name = self.held.get((node, record_key(record)))
        if name is None or name not in self.broadcasts:
            return None
        self.broadcasts.move_to_end(name)
        return name

    def remember(self, name: bytes, broadcast: Remembered, *, keep_all: bool = False) -> None:
        """Keep a broadcast; the least recently used one is dropped.

        With `keep_all`, broadcasts that a node holds or was sent are not dropped.
        """
        self.broadcasts[name] = broadcast
        self.broadcasts.move_to_end(name)
        needed = {*self.held.values(), *self.sent.values(), name} if keep_all else {name}
        old = [one for one in self.broadcasts if one not in needed]
        for one in old[: max(0, len(self.broadcasts) - KEPT_BROADCASTS)]:
            del self.broadcasts[one]

    def confirm(self, node: int, record: str, name: bytes) -> None:
        """Note that a node has decoded a broadcast."""
        self.held[node, record_key(record)] = name

    def forget(self, node: int) -> None:
        """Note that a node's broadcast is unknown."""
        self.held |= {key: b"" for key in self.held if key[0] == node}

    def state_dict(self) -> dict[str, Any]:
        """Return the memory, for a checkpoint."""
        return {
            "holders": [[node, record, name.hex()] for (node, record), name in self.held.items()],
            "broadcasts": {name.hex(): one.state_dict() for name, one in self.broadcasts.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self.held = {(n, record): bytes.fromhex(name) for n, record, name in state["holders"]}
        kept = state["broadcasts"].items()
        self.broadcasts = OrderedDict((bytes.fromhex(n), Remembered.of(one)) for n, one in kept)


def packed_bytes(arrays: Arrays) -> bytes:
    """Return arrays as bytes, bit for bit."""
    return encode_payload(arrays, codec=STATE_CODEC, strict=True)


def unpacked(payload: bytes) -> Arrays:
    """Undo ``packed_bytes`` without a size limit, as this side wrote the bytes."""
    return decode_payload(payload, max_bytes=None, writable=False)


@dataclass(frozen=True)
class ClientMemory:
    """The last broadcast, the last residual and the arrays left out, in a node's ``context.state``.

    They are bytes in one config record, so that a client that loops over its array records does not
    find them.
    """

    context: Context

    def decode(
        self,
        payloads: Sequence[bytes],
        record: str,
        *,
        keep: str,
        max_bytes: int,
        initial: Callable[[], Arrays | None] | None = None,
    ) -> Arrays:
        """Decode a broadcast, which may be coded relative to the last one, and remember it.

        Each payload may be relative to the arrays of the previous one; the arrays of the last one
        are the broadcast, not to be written to. `keep` is what to remember: nothing, the template,
        or the values. `initial` returns the first arrays of a node that holds nothing, or None.

        Raises ``PayloadError`` when a payload cannot be decoded; the message contains
        ``unknown_base`` if this node does not hold the payload's base.
        """
        held: Arrays | None = None
        for payload in payloads:
            info = describe_payload(payload)
            template, relative = info.template, info.base_need != "none"
            if held is None and (template is None or relative):
                held = self.left("held", record)
                if held is None and initial is not None:
                    held = initial()
            if template is None and held is not None:
                template = Template.of(held)
            elif template is None and (kept := self._get("template", record)) is not None:
                template = Template.from_bytes(kept)
            if template is None or (held is None and relative):
                raise PayloadError(f"{UNKNOWN_BASE}: this node holds no earlier broadcast")
            held = decode_payload(
                info, template=template, base=held, max_bytes=max_bytes, writable=False
            )
        arrays = {} if held is None else held
        if keep == "values":
            whole = info.base_need == "none" and info.template is not None
            self._put("held", record, payload if whole else packed_bytes(arrays))
        elif keep == "template":
            self._put("template", record, Template.of(arrays).to_bytes())
            self._drop("held", record)
        return arrays

    def left(self, what: Left, record: str) -> Arrays | None:
        """Return the last broadcast, or the state that the last upload left, or None."""
        kept = self._get(what, record)
        return None if kept is None else unpacked(kept)

    def leave(self, what: Left, record: str, arrays: Arrays) -> None:
        """Remember the state that an upload leaves for the next one."""
        if arrays:
            self._put(what, record, packed_bytes(arrays))
        else:
            self._drop(what, record)

    def order(self, record: str) -> list[str]:
        """Return the names of all arrays of a record, in the order of the first broadcast."""
        kept = self._get("order", record)
        return [] if kept is None else json.loads(kept)

    def save_order(self, record: str, names: list[str]) -> None:
        """Remember the names of all arrays of a record, in order."""
        self._put("order", record, json.dumps(names).encode())

    def _get(self, what: str, record: str) -> bytes | None:
        kept = self._record().get(_key(what, record))
        return kept if isinstance(kept, bytes) else None

    def _record(self) -> ConfigRecord:
        return self.context.state.config_records.get(CLIENT_RECORD, ConfigRecord())

    def _put(self, what: str, record: str, data: bytes) -> None:
        records = self.context.state.config_records
        if CLIENT_RECORD not in records:
            records[CLIENT_RECORD] = ConfigRecord()
        records[CLIENT_RECORD][_key(what, record)] = data

    def _drop(self, what: str, record: str) -> None:
        self._record().pop(_key(what, record), None)


def _key(what: str, record: str) -> str:
    return f"{what}/{record_key(record)}"
