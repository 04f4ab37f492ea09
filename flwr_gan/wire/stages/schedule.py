"""Codecs by round and by link.

``topk:0.25+int8>5:topk:0.05+int4`` changes to the second codec in round 5.
``sparse:int4<2:sparse`` uses the first codec for clients whose link is below 2 Mbit/s.
``auto:link`` is ``auto:MBITS`` with the speed of each client's link.
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.stages.pipeline import unbiased_spec

ALLOWED = (
    "write CODEC>ROUND:CODEC with rising rounds from 2 on, such as "
    "topk:0.25+int4>4:topk:0.1+int4>8:topk:0.02+int4"
)
ALLOWED_LINKS = (
    "write CODEC<MBITS:CODEC with rising speeds of links, such as "
    "sparse:int4<2:sparse:int8<10:sparse"
)
BY_LINK = "auto:link"
_FASTEST = 1e6  # Mbit/s


@dataclass(frozen=True)
class Schedule:
    """Codec specs with their first rounds, ascending from 0."""

    steps: tuple[tuple[int, str], ...]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, text: str) -> "Schedule":
        """Read a codec spec, or several with their first rounds, or raise ``CodecError``."""
        first, *others = text.split(">") if isinstance(text, str) else (text,)
        steps = [(0, first)]
        for step in others:
            found = re.fullmatch(r"([1-9][0-9]{0,8}):(.+)", step)
            if found is None or int(found[1]) <= max(steps[-1][0], 1):
                raise CodecError(f"schedule {text!r}: {step!r} cannot be read; {ALLOWED}")
            steps.append((int(found[1]), found[2]))
        for _, step in steps:
            for _, spec in _links(step):
                get_codec(spec)
        return cls(tuple(steps))

    @property
    def last(self) -> str:
        """The spec of the last step, for the fastest links."""
        return self.specs[-1]

    @property
    def specs(self) -> tuple[str, ...]:
        """The specs for the fastest links, in order."""
        return tuple(_for_link(step, None) for _, step in self.steps)

    @property
    def is_by_link(self) -> bool:
        """True if the codec depends on the speed of a client's link."""
        return any("<" in step or BY_LINK in step for _, step in self.steps)

    def at(self, server_round: int, *, feedback: bool, mbits: float | None = None) -> str:
        """Return the spec of a round; without error feedback, unbiased forms of its stages.

        ``mbits`` is the speed of the link, None if unknown.
        """
        step = [step for begins, step in self.steps if begins <= server_round][-1]
        spec = _for_link(step, mbits)
        return spec if feedback else unbiased_spec(spec)


def _for_link(step: str, mbits: float | None) -> str:
    speed = math.inf if mbits is None else mbits
    spec = next(spec for below, spec in _links(step) if speed < below or below == math.inf)
    if spec != BY_LINK:
        return spec
    return "auto" if mbits is None else f"auto:{min(mbits, _FASTEST):g}"


def _links(step: str) -> list[tuple[float, str]]:
    """Return the codecs of a step, each with the upper bound of its link speeds."""
    if not isinstance(step, str) or "<" not in step:
        return [(math.inf, step)]
    first, *others = step.split("<")
    bounds: list[float] = []
    specs = [first]
    for part in others:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?):(.+)", part)
        if found is None or float(found[1]) <= max([0.0, *bounds]):
            raise CodecError(f"codecs by link {step!r}: {part!r} cannot be read; {ALLOWED_LINKS}")
        bounds.append(float(found[1]))
        specs.append(found[2])
    return list(zip([*bounds, math.inf], specs, strict=True))
