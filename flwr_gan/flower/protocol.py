"""Protocols of strategies that use the wire beyond plain records, and of listeners."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from flwr.app import RecordDict

from flwr_gan.flower.records import Arrays
from flwr_gan.flower.reply import CodedReply
from flwr_gan.wire import Template
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.ledger import MessageRow

TakeReply = Callable[[CodedReply, Array | Arrays, int], None]
"""``take(reply, found, num_examples)``, called for each valid reply of a round in order; `found` is
the result of ``CodedReply.check``: survivors or arrays, not to be written to."""


@dataclass(frozen=True)
class ReplyRules:
    """Requirements on a training reply.

    By default there are none, as in plain Flower.

    Parameters
    ----------
    template : Template, optional
        The names, shapes and dtypes that it must have.
    may_be_empty : bool
        It may hold no arrays: the client has nothing new to say.
    finite : bool
        Its values must be finite.
    """

    template: Template | None = None
    may_be_empty: bool = False
    finite: bool = False


@runtime_checkable
class TakesCodedReplies(Protocol):
    """A legacy strategy that takes coded replies, ``CodedFitRes``.

    Such a strategy may decode a reply when needed, keep it coded, or average only the values of
    survivors. ``CodedReplies`` is a base class with the defaults.
    """

    def reply_rules(self) -> ReplyRules:
        """Return the requirements on replies of the next round.

        By default they must be finite and shaped like the broadcast.
        """
        return ReplyRules(finite=True)

    def begin_replies(self, num_examples: int) -> TakeReply | None:
        """Begin a round's replies, given the total number of their samples.

        The returned function is called with each valid reply when it is decoded for the check, so
        that it is not decoded twice. By default it is None: replies are decoded when they are read.
        """
        return None


class CodedReplies(TakesCodedReplies):
    """The defaults of ``TakesCodedReplies``."""


@runtime_checkable
class Asynchronous(Protocol):
    """A legacy strategy that does not wait for all clients.

    The server aggregates when ``buffer_size`` replies have come, which makes a new version of the
    model; the other clients continue with the version that they were sent. Its age is
    ``CodedFitRes.staleness``, and its weights are ``CodedFitRes.trained_from``.
    """

    buffer_size: int


@dataclass(frozen=True)
class CodedMessage:
    """A coded message for listeners."""

    row: MessageRow  # complete except for the receiver's measurements
    content: RecordDict  # as sent
    parts: Mapping[str, tuple[Arrays, Arrays | None]]
    """The arrays and the receiver's earlier arrays (None if unknown) of each coded record."""
    encoded_now: bool = True  # False for a broadcast that was encoded for another node


class Listener(Protocol):
    """Listens to the messages of a grid."""

    def sent(self, coded: CodedMessage) -> None:
        """Take a broadcast to a node."""

    def received(self, coded: CodedMessage) -> None:
        """Take a valid reply of a node."""
