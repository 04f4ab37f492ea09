"""Messages in flight: a dispatch to a node, and a reply that is not decoded yet."""

from dataclasses import dataclass, field

from flwr.app import Message, RecordDict

from flwr_gan.flower.broadcasts import Broadcast
from flwr_gan.flower.mods import base_for
from flwr_gan.flower.records import Arrays
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire.ledger import MessageRow


@dataclass
class Dispatch:
    """A message on its way to a node, and the broadcasts in it."""

    node: int
    row: MessageRow
    broadcasts: dict[str, Broadcast]
    message: Message | None = None

    def answered_by(self, record: str) -> Broadcast | None:
        """Return the broadcast that a reply's record of this name is relative to."""
        found = base_for(self.broadcasts, record)
        return None if found is None else self.broadcasts[found]


@dataclass
class Received:
    """A reply whose payloads are not decoded yet."""

    message: Message  # as received
    row: MessageRow
    content: RecordDict  # without the note; records of arrays still coded
    dispatch: Dispatch | None  # the message that it answers
    replies: dict[str, CodedReply] = field(default_factory=dict)

    def base_of(self, record: str) -> Arrays | None:
        """Return the broadcast that the sender used as base of a record."""
        sent = None if self.dispatch is None else self.dispatch.answered_by(record)
        return None if sent is None else sent.held.arrays
