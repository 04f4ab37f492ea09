"""What a logger is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar


class RunLogger(ABC):
    """Takes what a run measures, round by round.

    Parameters
    ----------
    folder : Path
        The run's output folder; a logger writes into a folder of its own in it.
    first_round : int
        The round that the run starts or goes on with. What an interrupted part of the run has
        logged of this round and later ones does not count.
    """

    # The module that has to be installed, and the extra that installs it.
    requires: ClassVar[str]
    extra: ClassVar[str]

    @abstractmethod
    def __init__(self, folder: Path, *, first_round: int) -> None: ...

    @abstractmethod
    def log_round(self, row: Mapping[str, Any]) -> None:
        """Take a row of ``rounds.csv``; what it says is on disk when this returns."""

    @abstractmethod
    def log_picture(self, name: str, picture: Path, *, server_round: int) -> None:
        """Take a PNG picture."""

    @abstractmethod
    def close(self) -> None:
        """End the log; it can be gone on with later."""
