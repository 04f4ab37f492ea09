"""What is compared: tasks, and how updates travel in each."""

from dataclasses import dataclass
from typing import Any

import yaml

from experiments.benchmarks.updates.peers import get_peer, is_peer
from flwr_gan.wire.codecs import get_codec

PLAIN = "plain"


@dataclass(frozen=True)
class Task:
    """What is trained.

    Parameters
    ----------
    name, title : str
        In tables, and for people.
    quality : str
        What is measured behind each round.
    level : float
        Of the quality; who has reached it is done.
    rounds : int
        How many, where a case does not say so itself.
    round_s : float
        Roughly how many processor seconds a round takes.
    overrides : str
        Settings of a GAN's run.
    images : int
        Training images of the classifier; 0 for a GAN.
    """

    name: str
    title: str
    quality: str
    level: float
    rounds: int
    round_s: float
    overrides: str = ""
    images: int = 0


@dataclass(frozen=True)
class Wire:
    """How updates travel in a task.

    Parameters
    ----------
    up, down : str
        Codec specs of uploads and broadcasts; ``plain`` for plain Flower, or a peer's spec, in
        both.
    settings : str
        Further settings, ``KEY=VALUE`` with spaces between: overrides of a GAN's run; of the
        classifier ``server_momentum``, and settings of the wire.
    rounds : int, optional
        Where they are not the task's.
    once : bool
        It runs with the first seed alone.
    """

    up: str
    down: str
    settings: str = ""
    rounds: int | None = None
    once: bool = False

    def __post_init__(self) -> None:
        for spec in (self.up, self.down):
            if is_peer(spec):
                get_peer(spec)
            elif spec != PLAIN:
                get_codec(spec)

    @property
    def own(self) -> bool:
        """Whether this is the wire of this package."""
        return self.up != PLAIN and not is_peer(self.up)

    @property
    def options(self) -> dict[str, Any]:
        """The further settings by name."""
        pairs = (word.split("=", 1) for word in self.settings.split())
        return {name: yaml.safe_load(value) for name, value in pairs}
