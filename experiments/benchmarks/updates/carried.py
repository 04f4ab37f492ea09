"""The bytes of each round, from messages as Flower's transport stores them."""

from collections.abc import Mapping

import pandas as pd
from flwr.app import Message, RecordDict

from flwr_gan.flower.records import message_bytes

BYTES = ("up_message_bytes", "down_message_bytes", "up_payload_bytes", "down_payload_bytes")


class Carried:
    """Weighs messages without the wire of this package, which has a ledger of its own."""

    def __init__(self) -> None:
        self._rounds: dict[int, dict[str, int]] = {}

    def weigh(self, message: Message, reply: Message) -> None:
        """Count a message and its reply; payloads are the arrays in them, as they are stored."""
        total = self._rounds.setdefault(_round_of(message), dict.fromkeys(BYTES, 0))
        for direction, content in (("down", message.content), ("up", reply.content)):
            total[f"{direction}_message_bytes"] += message_bytes(content)
            total[f"{direction}_payload_bytes"] += _array_bytes(content)

    def table(self) -> pd.DataFrame:
        """Return the bytes of all clients, a row a round, which is the index."""
        return pd.DataFrame.from_dict(self._rounds, orient="index", columns=list(BYTES))


def of_ledger(messages: pd.DataFrame) -> pd.DataFrame:
    """Return the same table from the rows of a ledger."""
    training = messages[messages["kind"] == "train"]
    found = training.groupby(["round", "direction"])[["message_bytes", "payload_bytes"]].sum()
    columns = {
        f"{direction}_{name}": found[name].xs(direction, level="direction")
        for name in ("message_bytes", "payload_bytes")
        for direction in ("up", "down")
    }
    return pd.DataFrame(columns)[list(BYTES)]


def by_round(carried: pd.DataFrame, quality: Mapping[int, float]) -> pd.DataFrame:
    """Return a row a round with quality and bytes; round 0 has the first broadcast alone.

    Parameters
    ----------
    carried : pandas.DataFrame
        Bytes, by round from 1.
    quality : mapping of int to float
        Behind each round.
    """
    down = [name for name in BYTES if name.startswith("down")]
    table = carried.sort_index()
    table.loc[0] = 0
    table.loc[0, down] = table.loc[1, down]
    table.loc[1, down] = 0
    table = table.sort_index().astype("int64")
    table.insert(0, "quality", [quality.get(int(number), float("nan")) for number in table.index])
    return table.rename_axis("round").reset_index()


def _round_of(message: Message) -> int:
    """Return the round: strategies of the message API write it into the config."""
    config = message.content.config_records.get("config")
    word = message.metadata.group_id if config is None else config["server-round"]
    return int(str(word))


def _array_bytes(content: RecordDict) -> int:
    records = content.array_records.values()
    return sum(len(array.data) for record in records for array in record.values())
