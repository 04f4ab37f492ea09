"""The ledger: one row per message, with measured bytes, never estimates."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

from flwr_gan.errors import OutputError

if TYPE_CHECKING:
    import pandas as pd

Direction = Literal["up", "down"]
Kind = Literal["train", "unchanged", "late", "evaluate", "init"]


@dataclass
class MessageRow:
    """The content of one message.

    Parameters
    ----------
    round : int
        Federated round, 0 before the first.
    client : int or str
        Label of the client, such as the number of its partition; -1 while unknown.
    direction : {"up", "down"}
        ``up`` is from client to server.
    kind : {"train", "unchanged", "late", "evaluate", "init"}
        Purpose of the message; ``unchanged`` is a reply without anything new, ``late`` a reply that
        came after its round was closed and was dropped.
    codec : str
        Codec spec of its payload.
    parameters, nonzero : int
        Number of values in the payload, and of nonzero values.
    dense_bytes : int
        Real size of the arrays: their elements in their own dtypes, 2 bytes per float16 parameter.
    payload_bytes, mask_bytes, value_bytes : int
        Length of the coded blob, and of its mask and value streams.
    message_bytes : int
        Bytes that Flower's transport stores for the message. On real nodes, requests, polls and
        heartbeats come on top: ``docs/deploy.md`` has their bytes.
    arrived_share : float
        Share of a lossy change that arrived, ``1 - |lost|^2 / |change|^2``; NaN where nothing was
        lossy.
    encode_s, decode_s : float
        Seconds; NaN if not measured. A broadcast is encoded once: its seconds are in the row of the
        first client, the other rows have 0.
    payload_crc32 : str
        Checksum of its payload in hexadecimal; for several payloads, the checksum of their
        checksums. It has its own table, so that two runs can be compared payload by payload.
    """

    round: int
    client: int | str
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
    arrived_share: float = float("nan")
    encode_s: float = float("nan")
    decode_s: float = float("nan")
    payload_crc32: str = ""


ALL_COLUMNS = tuple(field.name for field in fields(MessageRow))
COLUMNS = tuple(name for name in ALL_COLUMNS if name != "payload_crc32")
CHECKSUM_COLUMNS = ("round", "client", "direction", "kind", "payload_crc32")


@dataclass
class Ledger:
    """All messages of a run, in the order of (round, kind, direction, client)."""

    rows: list[MessageRow] = field(default_factory=list)

    def add(self, row: MessageRow) -> MessageRow:
        """Append `row` and return it, so that the sender can fill in later measurements."""
        self.rows.append(row)
        return row

    def total(self, column: str, *, direction: Direction, round: int | None = None) -> int:  # noqa: A002
        """Return the sum of a column over the messages of one direction (of one round)."""
        return sum(
            getattr(row, column)
            for row in self.rows
            if row.direction == direction and round in (None, row.round)
        )

    def to_frame(self, columns: Sequence[str] = COLUMNS) -> "pd.DataFrame":
        """Return the ledger as a table, one row per message, sorted independently of the engine.

        With ``CHECKSUM_COLUMNS`` it has the checksums of the payloads instead of their bytes.
        Numeric client labels come first, then words, each sorted. Raises ``OutputError`` when
        pandas is not installed.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise OutputError(
                "the ledger as a table needs pandas: pip install pandas, or read Ledger.rows"
            ) from error
        rows = sorted(self.rows, key=_place)
        return pd.DataFrame(map(attrgetter(*columns), rows), columns=list(columns))


_KIND_ORDER: dict[Kind, int] = {"init": 0, "train": 1, "unchanged": 2, "late": 3, "evaluate": 4}


def _place(row: MessageRow) -> tuple[int, int, Direction, bool, int, str]:
    """Return the sort key of a row; labels that are words come after numbers."""
    is_word = isinstance(row.client, str)
    number, word = (0, str(row.client)) if is_word else (int(row.client), "")
    return row.round, _KIND_ORDER[row.kind], row.direction, is_word, number, word
