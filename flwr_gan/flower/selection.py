"""Which arrays travel: patterns of names, and what stands for those that are left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from flwr_gan.errors import CodecError
from flwr_gan.flower.records import Arrays


@dataclass(frozen=True)
class Selection:
    """Arrays that travel, by shell patterns of names such as ``"*.running_*"`` or ``"head.*"``.

    An array is left out unless one pattern of ``include`` matches its name (with none, all do), and
    if one of ``exclude`` does. What is left out stays what it was on either side: the client keeps
    its own values, as FedBN does with statistics or FedPer with a head, and the server its own.
    Arrays of the legacy API have their positions as names, ``"0"``, ``"1"``, ...
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
        """True if nothing can be left out."""
        return not self.include and not self.exclude

    def takes(self, name: str) -> bool:
        """Tell whether the array of this name travels."""
        wanted = not self.include or any(fnmatchcase(name, p) for p in self.include)
        return wanted and not any(fnmatchcase(name, p) for p in self.exclude)

    def of(self, arrays: Arrays) -> Arrays:
        """Return the arrays that travel."""
        if self.takes_all:
            return arrays
        return {name: array for name, array in arrays.items() if self.takes(name)}

    def left_out(self, arrays: Arrays) -> Arrays:
        """Return the arrays that do not travel."""
        return {name: array for name, array in arrays.items() if not self.takes(name)}


def completed(arrays: Arrays, own: Arrays, order: Mapping[str, object]) -> Arrays:
    """Return arrays with one's own for those that did not travel, in the order of ``order``.

    Names that stand in neither keep their place at the end.
    """
    both = {**own, **arrays}
    ordered = {name: both[name] for name in order if name in both}
    return ordered | {name: array for name, array in both.items() if name not in ordered}


def patterns(given: object, *, key: str) -> tuple[str, ...]:
    """Return patterns, given as one word or several, as a tuple.

    Raises ``CodecError`` when they are neither.
    """
    if isinstance(given, str):
        return (given,)
    try:
        return tuple(given)  # type: ignore[arg-type]
    except TypeError as error:
        raise CodecError(f"{key}={given!r}: give a list of patterns of array names") from error
