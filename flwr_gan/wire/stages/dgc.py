"""Deep gradient compression: top-k of updates that momentum has gathered."""

from typing import Any

from flwr_gan.wire.codecs.settings import Fraction
from flwr_gan.wire.stages.topk import TopKStage

_PLACES = 100
MOMENTUM_STEPS = 90
"""In hundredths, as in the paper."""


class DgcStage(TopKStage):
    """Keeps the ``k = F n`` largest of what momentum correction makes of the changes. Lossy.

    With an update g the sender gathers ``u = M u + g`` and ``v = v + u``, sends the largest of v,
    and sets u and v to zero there (momentum factor masking): v is the residual of error feedback, u
    what the sender remembers besides. Without either it is ``topk:F``. The warm-up of F is a
    schedule of the codec. Lin et al., "Deep gradient compression", 2018, Algorithm 1 and section
    3.2; clipping is the local optimiser's affair.
    """

    name = "dgc"
    wire_id = 16

    settings = (
        Fraction("fraction_steps"),
        Fraction("momentum_steps", _PLACES, MOMENTUM_STEPS, fault="is no momentum"),
    )
    allowed = (
        "allowed: dgc:F[:M] with F from 0.0001 to 0.9999 in at most 4 decimals and a momentum M "
        "from 0.01 to 0.99, such as dgc:0.01 or dgc:0.01:0.9"
    )
    momentum_steps: int

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.momentum = self.momentum_steps / _PLACES
