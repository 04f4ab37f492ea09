"""Bookkeeping of an exchange: one row per message, and the reasons of refused replies."""

import zlib
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from logging import getLogger

from flwr.app import RecordDict

from flwr_gan.errors import TrainingError
from flwr_gan.flower.notes import UNKNOWN, Label
from flwr_gan.flower.settings import WireSettings
from flwr_gan.flower.transport import message_bytes
from flwr_gan.wire import PayloadInfo
from flwr_gan.wire.ledger import Direction, Kind, Ledger, MessageRow

log = getLogger(__name__)


@dataclass
class Outcome:
    """Whether any training reply was accepted in a run, for the command that runs it."""

    books: list["Books"] = field(default_factory=list)

    @property
    def refusal(self) -> str | None:
        """Why no reply was ever accepted; None if one was, or if none was requested."""
        if any(books.trained for books in self.books):
            return None
        return next((books.reason for books in self.books if books.reason), None)


current_outcome: ContextVar[Outcome | None] = ContextVar("current_outcome", default=None)
"""Set by a command around a server app; ``Books`` made meanwhile register themselves."""


class Books:
    """Records about a server's messages: the ledger, labels of nodes, failures by round."""

    def __init__(self, settings: WireSettings, ledger: Ledger) -> None:
        self.settings = settings
        self.ledger = ledger
        self.labels: dict[int, Label] = {}
        self.failures: dict[int, list[str]] = {}
        self.round = 0
        self.kind: Kind = "init"
        self.trained_in: int | None = None  # the last round in which training was accepted
        self.reason = ""  # why the first one was refused
        self._accepted = self._refused = 0  # in this exchange
        self._warned = False
        self._enter_outcome()

    def _enter_outcome(self) -> None:
        outcome = current_outcome.get()
        if outcome is not None and self not in outcome.books:
            outcome.books.append(self)

    def row(self, direction: Direction, node: int, codec: str, content: RecordDict) -> MessageRow:
        """Add a message to the ledger with its transport bytes, and return its row."""
        return self.ledger.add(
            MessageRow(
                round=self.round,
                client=self.labels.get(node, UNKNOWN),
                direction=direction,
                kind=self.kind,
                codec=codec,
                message_bytes=message_bytes(content),
            )
        )

    def begin(self, server_round: int, kind: Kind) -> None:
        """Begin an exchange after settling the last one."""
        self.settle()
        self.round, self.kind = server_round, kind
        if kind != "init":
            self.failures.setdefault(server_round, [])

    @property
    def trained(self) -> bool:
        """Whether a reply to training was ever accepted."""
        return self.trained_in is not None

    def accepted(self) -> None:
        """Count a reply that was accepted."""
        self._accepted += 1
        if self.kind == "train":
            self.trained_in = self.round

    def refused(self, reason: str) -> str:
        """Count a reply that was refused or never came; return the reason in one line."""
        reason = " ".join(reason.split())
        self._refused += 1
        if self.kind == "train":
            self.reason = self.reason or reason
        self.failures.setdefault(self.round, []).append(reason)
        log.warning("round %d: a client was dropped: %s", self.round, reason)
        return reason

    def settle(self) -> None:
        """End an exchange; warn if every reply was refused.

        With ``strict``, raises ``TrainingError`` if this was a training exchange and no reply has
        ever been accepted.
        """
        self._enter_outcome()
        accepted, refused = self._accepted, self._refused
        self._accepted = self._refused = 0
        if accepted or not refused:
            return
        reason = self.failures[self.round][-1]
        text = f"round {self.round}: all {refused} replies to {self.kind} were refused: {reason}"
        if self.settings.strict and self.kind == "train" and not self.trained:
            raise TrainingError(text)
        log.warning("%s; the model stays as it was", text)

    def warn_of_loss(self, row: MessageRow) -> None:
        """Warn once when less than half of a change arrives and there is no error feedback."""
        if self._warned or self.settings.feedback or not row.arrived_share < 0.5:
            return
        self._warned = True
        log.warning(
            "round %d: only %.0f %% of a change arrives with codec %s and without error feedback: "
            "set feedback=True or take a codec of more bits",
            row.round,
            100 * row.arrived_share,
            row.codec,
        )


def count(row: MessageRow, infos: Iterable[PayloadInfo], counts: tuple[int, int, int]) -> None:
    """Add a record's payloads to a row; `counts` are parameters, nonzero ones, and bytes."""
    row.parameters += counts[0]
    row.nonzero += counts[1]
    row.dense_bytes += counts[2]
    for info in infos:
        sizes = info.sizes
        if row.codec.startswith("auto") and info.codec_label not in row.codec:
            row.codec = f"{row.codec} > {info.codec_label}"  # the choice
        row.payload_bytes += sizes.header_bytes + sizes.mask_bytes + sizes.value_bytes
        row.mask_bytes += sizes.mask_bytes
        row.value_bytes += sizes.value_bytes
        both = f"{row.payload_crc32}{info.crc32:08x}".encode()
        crc = zlib.crc32(both) if row.payload_crc32 else info.crc32
        row.payload_crc32 = f"0x{crc:08x}"
