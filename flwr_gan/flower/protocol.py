"""What a strategy may ask of the wire beyond plain records, and what may listen to it."""

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
"""``take(reply, found, num_examples)`` of each sound reply of a round, in order; `found` is what
``CodedReply.check`` returns: survivors or arrays, not to be written to."""


@dataclass(frozen=True)
class ReplyRules:
    """What a training reply must be.

    The default is what plain Flower takes: anything.

    Parameters
    ----------
    template : Template, optional
        Names, shapes and dtypes that it must have.
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
    """A legacy strategy that takes replies as they travelled, ``CodedFitRes``.

    Such a strategy decodes a reply when it wants to, keeps it coded, or averages the values of
    survivors without their zeros. ``CodedReplies`` is a base class with the defaults.
    """

    def reply_rules(self) -> ReplyRules:
        """Return what the replies of the next round must be."""

    def begin_replies(self, num_examples: int) -> TakeReply | None:
        """Begin a round's replies, which stand for so many samples together.

        What is returned is called with each sound reply when it is decoded to be checked, so that
        it need not be decoded a second time; None where the strategy has no use for that.
        """


class CodedReplies:
    """The defaults of ``TakesCodedReplies``: replies are finite and shaped like the broadcast."""

    def reply_rules(self) -> ReplyRules:
        """Return what the replies of the next round must be."""
        return ReplyRules(finite=True)

    def begin_replies(self, num_examples: int) -> TakeReply | None:
        """Return None: replies are decoded when they are asked for."""
        return None


@runtime_checkable
class Asynchronous(Protocol):
    """A legacy strategy whose clients are not waited for.

    The server aggregates when ``buffer_size`` replies have come, which makes a new version of the
    model, and the others go on with the version that they were sent. ``aggregate_fit`` finds how
    old that is in ``CodedFitRes.staleness``, and its weights in ``CodedFitRes.trained_from``.
    """

    buffer_size: int


@dataclass(frozen=True)
class CodedMessage:
    """A coded message, as listeners get it."""

    row: MessageRow  # complete but for what the receiver measures
    content: RecordDict  # as it travelled
    parts: Mapping[str, tuple[Arrays, Arrays | None]]
    """Of each coded record the arrays, and what the receiver held, None if that is not known."""
    encoded_now: bool = True  # False for a broadcast that was encoded for another node


class Listener(Protocol):
    """Listens to the messages of a grid."""

    def sent(self, coded: CodedMessage) -> None:
        """Take a broadcast that is on its way to a node."""

    def received(self, coded: CodedMessage) -> None:
        """Take a sound reply that a node has sent."""
