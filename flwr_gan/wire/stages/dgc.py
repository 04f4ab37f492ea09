"""Deep gradient compression: top-k of updates that momentum has gathered."""

from typing import ClassVar

from flwr_gan.errors import CodecError
from flwr_gan.wire.stages.settings import STEPS, fraction_text, read_fraction, unknown_settings
from flwr_gan.wire.stages.topk import TopKStage

_PLACES = 100
MOMENTUM_STEPS = 90
"""In hundredths, as in the paper."""

ALLOWED = (
    "allowed: dgc:F[:M] with F from 0.0001 to 0.9999 in at most 4 decimals and a momentum M from "
    "0.01 to 0.99, such as dgc:0.01 or dgc:0.01:0.9"
)


class DgcStage(TopKStage):
    """Keeps the ``k = F n`` largest of what momentum correction makes of the changes. Lossy.

    With an update g the sender gathers ``u = M u + g`` and ``v = v + u``, sends the largest of v,
    and sets u and v to zero there (momentum factor masking): v is the residual of error feedback, u
    what the sender remembers besides. Without either it is ``topk:F``. The warm-up of F is a
    schedule of the codec. Lin et al., "Deep gradient compression", 2018, Algorithm 1 and section
    3.2; clipping is the local optimiser's affair.

    Parameters
    ----------
    fraction_steps : int
        F in ten-thousandths, 1 to 9,999.
    momentum_steps : int
        M in hundredths, 1 to 99.
    """

    name: ClassVar[str] = "dgc"
    wire_id: ClassVar[int] = 16

    def __init__(self, *, fraction_steps: int, momentum_steps: int = MOMENTUM_STEPS) -> None:
        super().__init__(fraction_steps=fraction_steps)
        self.momentum = momentum_steps / _PLACES
        self.spec = f"dgc:{fraction_text(fraction_steps)}:{self.momentum}"
        self.parameter = fraction_steps * _PLACES + momentum_steps


def from_spec(arguments: tuple[str, ...]) -> DgcStage:
    """Build ``dgc:F`` or ``dgc:F:M``."""
    numbers = [read_fraction(text) for text in arguments]
    momentum = (*numbers, MOMENTUM_STEPS * STEPS // _PLACES)[1] if numbers else None
    if len(numbers) not in (1, 2) or numbers[0] is None or momentum is None:
        raise CodecError(f"stage {':'.join(('dgc', *arguments))!r} cannot be read; {ALLOWED}")
    if momentum % (STEPS // _PLACES):
        raise CodecError(f"stage {':'.join(('dgc', *arguments))!r}: {ALLOWED}")
    return DgcStage(fraction_steps=numbers[0], momentum_steps=momentum * _PLACES // STEPS)


def from_parameter(parameter: int) -> DgcStage:
    """Build the stage from its number in a payload, or raise ``PayloadError``."""
    fraction, momentum = divmod(parameter, _PLACES)
    if not 0 < fraction < STEPS or not momentum:
        raise unknown_settings("dgc")
    return DgcStage(fraction_steps=fraction, momentum_steps=momentum)
