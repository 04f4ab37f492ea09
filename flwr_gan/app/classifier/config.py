"""Settings of a classifier and its training."""

from dataclasses import dataclass
from typing import Annotated, Literal

from flwr_gan.core.settings import Count, Positive, Settings, Within

BelowOne = Annotated[float, Within(at_least=0, below=1)]


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig(Settings):
    """A fully connected classifier, and its training in a round.

    Quantisation is a setting of the wire instead: ``codec=sparse:int8``.
    """

    group = "classifier"

    hidden: tuple[Count, ...]  # units of each hidden layer
    passes: Count  # of a client over its own samples in one round
    batch_size: Count
    learning_rate: Positive
    momentum: BelowOne  # starts at zero in each round
    prune: BelowOne  # share of each layer's weights that a client sets to zero before the upload
    # true: send a small network, taught by each client's own teacher; "printed": with algorithm 3
    # of paper 001 as printed
    distil: Literal[False, True, "printed"]
    student: tuple[Count, ...]  # units of each hidden layer of the small network
    teacher_passes: Count  # of a client over its own samples before its first round
    alpha: Annotated[float, Within(at_least=0, at_most=1)]  # weight of the teacher's term
    temperature: Positive
