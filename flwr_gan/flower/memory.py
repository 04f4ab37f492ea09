"""What a sender knows the receiver to hold: the memory behind masks and differences on the wire.

The server remembers its last broadcasts and which of them each node has confirmed by answering; a
client remembers the last broadcast that it decoded. A payload may lean on what is remembered on
both sides. Whoever lost its memory says ``unknown_base`` and is sent the next payload in full.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flwr.app import Context
from numpy.typing import NDArray

from flwr_gan.errors import PayloadError
from flwr_gan.flower.records import Arrays, payload_of, payload_record
from flwr_gan.wire import Template, decode_payload, describe_payload, encode_payload
from flwr_gan.wire.base_hash import base_hash

KEPT_BROADCASTS = 4  # older ones are forgotten: who missed that many rounds is sent everything
CLIENT_RECORD = "flwr_gan.wire"
UNKNOWN_BASE = "unknown_base"

# A training message and an evaluation message of the legacy API carry the same model.
_LEGACY_MODEL = ("fitins.parameters", "evaluateins.parameters", "fitres.parameters")


def slot(record: str) -> str:
    """Return the name under which a record of arrays is remembered."""
    return "parameters" if record in _LEGACY_MODEL else record


def name_of(arrays: Arrays) -> bytes:
    """Return the eight bytes that name arrays by template, mask and values."""
    return base_hash(Template.of(arrays), list(arrays.values()), "values")


@dataclass(frozen=True)
class Remembered:
    """A broadcast as the receivers decoded it, and what the codec lost of it."""

    arrays: Arrays
    residual: Arrays


@dataclass
class ServerMemory:
    """The last broadcasts, and who holds which.

    A holder is named by its partition, which outlives its node's id, or by the id where a node
    tells no partition.
    """

    broadcasts: "OrderedDict[bytes, Remembered]" = field(default_factory=OrderedDict)
    held: dict[tuple[str, str], bytes] = field(default_factory=dict)

    def base_of(self, holder: str, record: str) -> bytes | None:
        """Return the name of what a holder has, None when the server does not have it any more."""
        name = self.held.get((holder, slot(record)))
        if name is None or name not in self.broadcasts:
            return None
        self.broadcasts.move_to_end(name)
        return name

    def remember(self, name: bytes, broadcast: Remembered) -> None:
        """Keep a broadcast; the one that was used longest ago makes room."""
        self.broadcasts[name] = broadcast
        self.broadcasts.move_to_end(name)
        while len(self.broadcasts) > KEPT_BROADCASTS:
            self.broadcasts.popitem(last=False)

    def confirm(self, holder: str, record: str, name: bytes) -> None:
        """Note that a holder has decoded a broadcast."""
        self.held[holder, slot(record)] = name

    def forget(self, holder: str) -> None:
        """Note that nobody knows what a holder has."""
        for key in [key for key in self.held if key[0] == holder]:
            del self.held[key]

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the memory as arrays, for a checkpoint."""
        holders = [[who, record, name.hex()] for (who, record), name in self.held.items()]
        state: dict[str, NDArray[Any]] = {
            "holders": np.frombuffer(json.dumps(holders).encode(), dtype=np.uint8)
        }
        for i, (name, broadcast) in enumerate(self.broadcasts.items()):
            for part, arrays in (("arrays", broadcast.arrays), ("residual", broadcast.residual)):
                payload = encode_payload(arrays, strict=True)
                state[f"{i:02d}/{name.hex()}/{part}"] = np.frombuffer(payload, dtype=np.uint8)
        return state

    def load_state_arrays(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state_arrays`` gave."""
        holders = json.loads(state["holders"].tobytes())
        self.held = {(who, record): bytes.fromhex(name) for who, record, name in holders}
        self.broadcasts = OrderedDict()
        for key in sorted(key for key in state if key.endswith("/arrays")):
            residual = key.removesuffix("arrays") + "residual"
            name = bytes.fromhex(key.split("/")[1])
            self.broadcasts[name] = Remembered(
                decode_payload(state[key].tobytes()), decode_payload(state[residual].tobytes())
            )


@dataclass(frozen=True)
class ClientMemory:
    """The last broadcast and the last residual of a node, in its ``context.state``.

    Parameters
    ----------
    context : Context
        The node's.
    values : bool
        Keep what the broadcast held; otherwise its template alone, which is all that a payload of
        a codec without masks can lean on.
    """

    context: Context
    values: bool = True

    def decode(self, payload: bytes, record: str) -> Arrays:
        """Decode a broadcast, which may lean on the last one, and remember it.

        The arrays are not to be written to.

        Raises
        ------
        PayloadError
            When the payload cannot be decoded; the message has the word ``unknown_base`` when it
            leans on something that this node does not hold.
        """
        info = describe_payload(payload)
        template, held = info.template, None
        if template is None or info.base_need != "none":
            held = self._load("held", record)
            template = self._template(record) if held is None else Template.of(held)
        if template is None or (held is None and info.base_need != "none"):
            raise PayloadError(f"{UNKNOWN_BASE}: this node holds no earlier broadcast")
        arrays = decode_payload(info, template=template, base=held, writable=False)
        if self.values:
            self._save("held", record, arrays)
        else:
            state = self.context.state.array_records
            state.pop(self._key("held", record), None)
            own = Template.of(arrays).to_bytes()
            state[self._key("template", record)] = payload_record(own)
        return arrays

    def residual(self, record: str) -> Arrays | None:
        """Return what the last upload lost, None when there was none."""
        return self._load("residual", record)

    def save_residual(self, record: str, residual: Arrays) -> None:
        """Remember what an upload lost."""
        self._save("residual", record, residual)

    def _template(self, record: str) -> Template | None:
        stored = self.context.state.array_records.get(self._key("template", record))
        return None if stored is None else Template.from_bytes(payload_of(stored))

    def _load(self, what: str, record: str) -> Arrays | None:
        stored = self.context.state.array_records.get(self._key(what, record))
        return None if stored is None else decode_payload(payload_of(stored))

    def _save(self, what: str, record: str, arrays: Arrays) -> None:
        # Coded, because a node's state may be kept or carried for each of many clients.
        stored = payload_record(encode_payload(arrays, strict=True))
        self.context.state.array_records[self._key(what, record)] = stored

    @staticmethod
    def _key(what: str, record: str) -> str:
        return f"{CLIENT_RECORD}.{what}.{slot(record)}"
