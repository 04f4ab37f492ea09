"""Settings of the wire, checked on construction, and the selection of arrays to send."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from flwr_gan.errors import CodecError
from flwr_gan.flower.notes import EF21
from flwr_gan.flower.records import Arrays
from flwr_gan.wire.codecs import get_codec
from flwr_gan.wire.stages.schedule import Schedule

Feedback = bool | Literal["ef21"]
"""Error feedback: off, by the residual of the previous payload, or by EF21."""


@dataclass(frozen=True)
class Selection:
    """The arrays to send, by shell patterns of names such as ``"*.running_*"`` or ``"head.*"``.

    An array is sent if a pattern of ``include`` matches its name (without patterns, all match) and
    no pattern of ``exclude`` does. Other arrays stay unchanged on both sides: the client keeps its
    own values, as FedBN does with statistics or FedPer with a head, and so does the server. In the
    legacy API the names of arrays are their positions, ``"0"``, ``"1"``, ...
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in (*self.include, *self.exclude):
            if not isinstance(pattern, str) or not pattern or "\n" in pattern:
                raise CodecError(
                    f"include or exclude has {pattern!r}: give patterns of array names, such as "
                    "'head.*'"
                )

    @property
    def takes_all(self) -> bool:
        """True if all arrays are sent."""
        return not self.include and not self.exclude

    def takes(self, name: str) -> bool:
        """Return whether the array of this name is sent."""
        wanted = not self.include or any(fnmatchcase(name, p) for p in self.include)
        return wanted and not any(fnmatchcase(name, p) for p in self.exclude)

    def of(self, arrays: Arrays) -> Arrays:
        """Return the arrays to send."""
        if self.takes_all:
            return arrays
        return {name: array for name, array in arrays.items() if self.takes(name)}

    def left_out(self, arrays: Arrays) -> Arrays:
        """Return the arrays that are not sent."""
        return {name: array for name, array in arrays.items() if not self.takes(name)}


def completed(arrays: Arrays, own: Arrays, order: Mapping[str, object]) -> Arrays:
    """Return the sent arrays and own arrays for the others, in the order of ``order``.

    Names that are not in ``order`` come last.
    """
    both = {**own, **arrays}
    ordered = {name: both[name] for name in order if name in both}
    return ordered | {name: array for name, array in both.items() if name not in ordered}


def patterns(given: object, *, key: str) -> tuple[str, ...]:
    """Return patterns, given as one string or several, as a tuple.

    Raises ``CodecError`` when they are neither.
    """
    if isinstance(given, str):
        return (given,)
    try:
        return tuple(given)  # type: ignore[arg-type]
    except TypeError as error:
        raise CodecError(f"{key}={given!r}: give a list of patterns of array names") from error


@dataclass(frozen=True, kw_only=True)
class WireSettings:
    """Settings of the wire; ``CompressedGrid`` and the strategy wrappers take them by name.

    Parameters
    ----------
    codec : str
        Codec spec for both directions, such as ``"sparse"``, ``"zstd:3"``, ``"sparse:int8"``.
    codec_up, codec_down : str, optional
        Codec specs for replies and for broadcasts, if different from `codec`.

        Each of the three may be a schedule by round; the spec for replies may also depend on the
        speed of the client's link, see ``Schedule``. A broadcast is coded once, as for the fastest
        links.
    memory : bool
        Code payloads relative to the arrays that their receiver holds. Without memory, a broadcast
        has no base, and the base of a reply can only be the broadcast that it answers.
    feedback : bool or "ef21"
        Error feedback: the loss of a lossy codec is added to the sender's next payload. It is for
        contractive codecs. Without it, stages with an unbiased form use that. ``"ef21"``: clients
        code the difference of their update to the part that has already arrived, which the server
        keeps for each client.
    include, exclude : sequence of str
        Patterns of the names of arrays to send, see ``Selection``.
    max_reply_bytes : int, optional
        Maximum total bytes of the arrays of a reply: by default four times the broadcast, and at
        least 64 MiB.
    strict : bool
        Raise ``TrainingError`` when every reply of a training round was refused and no reply was
        ever accepted. By default this is a warning.
    seeded_start : bool
        Clients compute the arrays of the first broadcast themselves, see ``CompressionMod``; only
        their hash is sent. Needs a stage on updates for broadcasts, and memory.

    Raises
    ------
    CodecError
        When a codec is unknown or not installed, or another setting cannot be used.
    """

    codec: str = "sparse"
    codec_up: str | None = None
    codec_down: str | None = None
    memory: bool = True
    feedback: Feedback = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_reply_bytes: int | None = None
    strict: bool = False
    seeded_start: bool = False

    def __post_init__(self) -> None:
        for text in (self.codec, self.up, self.down):
            Schedule.of(text)
        for key in ("include", "exclude"):
            object.__setattr__(self, key, patterns(getattr(self, key), key=key))
        Selection(self.include, self.exclude)
        if not isinstance(self.feedback, bool) and self.feedback != EF21:
            raise CodecError(f"feedback={self.feedback!r} is unknown; allowed: true, false, {EF21}")
        if self.seeded_start and not self.sends_updates:
            raise CodecError(
                f"seeded_start=True beside codec_down={self.down}: it needs memory=True and a "
                "stage on updates, such as topk:0.05+int4"
            )
        limit = self.max_reply_bytes
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise CodecError(
                f"max_reply_bytes={limit!r}: give a whole number of bytes, at least 1, or None"
            )

    @property
    def up(self) -> str:
        """Codec spec of replies, or a schedule."""
        return self.codec if self.codec_up is None else self.codec_up

    @property
    def down(self) -> str:
        """Codec spec of broadcasts, or a schedule."""
        return self.codec if self.codec_down is None else self.codec_down

    def up_at(self, server_round: int, mbits: float | None = None) -> str:
        """Return the codec spec of replies in a round, over a link of this speed (if known)."""
        return Schedule.of(self.up).at(server_round, feedback=bool(self.feedback), mbits=mbits)

    def down_at(self, server_round: int) -> str:
        """Return the codec spec of the broadcasts of a round."""
        return Schedule.of(self.down).at(server_round, feedback=bool(self.feedback))

    @property
    def sends_updates(self) -> bool:
        """True if broadcasts are updates, see ``flwr_gan.flower.update_chains``."""
        codecs = map(get_codec, Schedule.of(self.down).specs)
        return self.memory and any(c.updates for c in codecs)

    @property
    def selection(self) -> Selection:
        """Which arrays travel."""
        return Selection(self.include, self.exclude)

    @property
    def label(self) -> str:
        """The codecs as one label."""
        return self.up if self.up == self.down else f"{self.up} up, {self.down} down"
