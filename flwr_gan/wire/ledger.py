"""The ledger: one row for each message, with bytes that were measured, never estimated."""

from dataclasses import asdict, dataclass, field, fields
from typing import Literal

import pandas as pd

Direction = Literal["up", "down"]
Kind = Literal["train", "unchanged", "evaluate", "init"]


@dataclass
class MessageRow:
    """What one message carried.

    Parameters
    ----------
    round : int
        Federated round, 0 before the first.
    client : int
        Partition of the client, -1 while it is not known.
    direction : {"up", "down"}
        ``up`` is from client to server.
    kind : {"train", "unchanged", "evaluate", "init"}
        What the message was for; ``unchanged`` is a reply that there is nothing new to send.
    codec : str
        Codec spec of its payload.
    parameters, nonzero : int
        Values in the payload, and those that are not zero.
    dense_bytes : int
        Four bytes for each parameter.
    payload_bytes, mask_bytes, value_bytes : int
        Length of the coded blob, and of its mask and value streams.
    message_bytes : int
        What Flower's transport stores for the message.
    encode_s, decode_s : float
        Seconds; NaN where nothing was measured. A broadcast is encoded once: its seconds stand
        in the row of the first client, 0 in the rest.
    """

    round: int
    client: int
    direction: Direction
    kind: Kind
    codec: str
    parameters: int = 0
    nonzero: int = 0
    dense_bytes: int = 0
    payload_bytes: int = 0
    mask_bytes: int = 0
    value_bytes: int = 0
    message_bytes: int = 0
    encode_s: float = float("nan")
    decode_s: float = float("nan")


COLUMNS = tuple(field.name for field in fields(MessageRow))


@dataclass
class Ledger:
    """All messages of a run, in the order of (round, kind, direction, client)."""

    rows: list[MessageRow] = field(default_factory=list)

    def add(self, row: MessageRow) -> MessageRow:
        """Append `row` and return it, so that the sender can fill in what is learnt later."""
        self.rows.append(row)
        return row

    def total(self, column: str, *, direction: Direction, round: int | None = None) -> int:  # noqa: A002
        """Return the sum of a column over the messages of one direction (of one round)."""
        return sum(
            getattr(row, column)
            for row in self.rows
            if row.direction == direction and round in (None, row.round)
        )

    def to_frame(self) -> pd.DataFrame:
        """Return the ledger as a table, one row a message, sorted so that no engine shows."""
        order = {"init": 0, "train": 1, "unchanged": 2, "evaluate": 3}
        rows = sorted(
            self.rows, key=lambda row: (row.round, order[row.kind], row.direction, row.client)
        )
        return pd.DataFrame([asdict(row) for row in rows], columns=list(COLUMNS))
