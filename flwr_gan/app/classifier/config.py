"""How a classifier is built and trained."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flwr_gan.core.settings import Count, Positive, Settings, Within

BelowOne = Annotated[float, Within(at_least=0, below=1)]


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(Settings):
    """A fully connected classifier, and what clients do with it in a round.

    Quantisation is not here: it is a matter of the wire, ``codec=sparse:int8``.
    """

    group = "classifier"

    hidden: tuple[Count, ...]  # units of each hidden layer
    passes: Count  # over its own samples, of a client in one round
    batch_size: Count
    learning_rate: Positive
    momentum: BelowOne  # starts at zero in each round
    prune: BelowOne  # share of each layer's weights that a client sets to zero before the upload
    # whether a small network travels, which each client's own teacher teaches; "printed": by
    # algorithm 3 of paper 001 as printed
    distil: Literal[False, True, "printed"]
    student: tuple[Count, ...]  # units of each hidden layer of the small network
    teacher_passes: Count  # over its own samples, before a client's first round
    alpha: Annotated[float, Within(at_least=0, at_most=1)]  # weight of what the teacher says
    temperature: Positive

    @property
    def travelling(self) -> tuple[int, ...]:
        """The hidden layers of the network that is sent: the student's where there is one."""
        return self.student if self.distil else self.hidden
