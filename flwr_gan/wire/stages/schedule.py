"""Codecs by round: ``topk:0.25+int8>5:topk:0.05+int4`` is the second one from round 5 on."""

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


@dataclass(frozen=True)
class Schedule:
    """Which codec spec holds from which round on: rounds, rising, from 0."""

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
        for _, spec in steps:
            get_codec(spec)
        return cls(tuple(steps))

    @property
    def last(self) -> str:
        """The spec that holds in the end."""
        return self.steps[-1][1]

    def at(self, server_round: int, *, feedback: bool) -> str:
        """Return the spec of a round; the unbiased form of its stages without error feedback."""
        spec = [spec for begins, spec in self.steps if begins <= server_round][-1]
        return spec if feedback else unbiased_spec(spec)
