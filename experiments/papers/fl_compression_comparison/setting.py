"""The cases: the paper's hyperparameters, its eight models, our controls."""

from dataclasses import dataclass
from itertools import pairwise

from flwr_gan.errors import ConfigError

TEACHER_SIZES = (784, 128, 64, 10)
STUDENT_SIZES = (784, 62, 10)
"""Inputs, hidden units and classes: 109,386 weights and biases, and 49,300."""
DENSE_BYTES = 4 * sum(a * b + b for a, b in pairwise(TEACHER_SIZES))
"""SimpleNN in float32: 437,544 bytes, the model to which all ratios refer."""

CODECS = {
    (False, False): "raw",
    (True, False): "sparse",
    (False, True): "quantize:int8:layer+zlib:6",
    (True, True): "quantize:int8:layer+zlib:6",
}
"""The wire of a method, by (prune, quantise); quantised weights are sent alone, as in Eq. 6."""

ALGORITHMS = ("fedavg", "fedprox")
PARTITIONS = {"iid": "IID", "dirichlet": "non-IID", "whole": "everybody holds everything"}


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Table 4 of the paper, then settings that are not in the paper."""

    num_models: int = 3
    learning_rate: float = 0.01
    batch_size: int = 64
    momentum: float = 0.9
    prune_amount: float = 0.2
    distill_alpha: float = 0.5
    distill_temperature: float = 2.0
    num_rounds: int = 20
    proximal_mu: float = 0.1  # weight of FedProx's proximal term
    dirichlet_alpha: float = 0.5  # concentration of the labels' split among non-IID clients
    # epochs on its own data in which a client trains its teacher before the first round
    teacher_passes: int = 5
    num_samples: int | None = None  # training samples of all clients together; None for all

    def __post_init__(self) -> None:
        for name in ("num_models", "batch_size", "num_rounds", "teacher_passes", "num_samples"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value} is not allowed: give at least 1")


@dataclass(frozen=True, kw_only=True)
class Method:
    """A model of the comparison."""

    name: str  # short name for file names and tables
    title: str  # title for readers
    # the techniques that it uses
    prune: bool = False
    quantise: bool = False
    distil: bool = False
    student: bool = False  # whether the small network is sent; always so with distillation
    # whether distillation passes softmax outputs to the loss and ignores labels, as printed in the
    # paper's algorithm 3
    as_printed: bool = False

    @property
    def codec(self) -> str:
        """The codec of both directions."""
        return CODECS[self.prune, self.quantise]

    @property
    def small(self) -> bool:
        """Whether the student's network is sent."""
        return self.distil or self.student


METHODS = (
    Method(name="none", title="none"),
    Method(name="p", title="prune", prune=True),
    Method(name="q", title="quantise", quantise=True),
    Method(name="d", title="distil", distil=True),
    Method(name="pq", title="prune + quantise", prune=True, quantise=True),
    Method(name="pd", title="prune + distil", prune=True, distil=True),
    Method(name="qd", title="quantise + distil", quantise=True, distil=True),
    Method(name="pqd", title="all three", prune=True, quantise=True, distil=True),
)
"""Models 1 to 8 of Table 5, in order."""

STUDENT = Method(name="student", title="student without a teacher", student=True)
PRINTED = Method(name="d_printed", title="distil as printed", distil=True, as_printed=True)
BY_NAME = {method.name: method for method in (*METHODS, STUDENT, PRINTED)}


@dataclass(frozen=True)
class Published:
    """A row of the paper's Table 5: percent, loss, delay without unit, ratio."""

    accuracy: float
    loss: float
    delay: float
    ratio: float


TABLE_5 = {
    "none": Published(93.84, 2.76, 4.21, 1.00),
    "p": Published(90.77, 4.59, 3.82, 0.86),
    "q": Published(91.06, 4.88, 3.97, 0.25),
    "d": Published(88.65, 2.81, 4.06, 0.45),
    "pq": Published(92.21, 5.69, 3.05, 0.25),
    "pd": Published(90.84, 3.29, 3.23, 0.45),
    "qd": Published(90.91, 3.32, 4.05, 0.11),
    "pqd": Published(91.77, 4.17, 3.06, 0.11),
}
