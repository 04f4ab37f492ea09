"""The parts of a study one after another: a failure ends nothing else, and time is told."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from experiments.study.cases import short_reason
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import ConfigError


class Named(Protocol):
    """A part of a study."""

    @property
    def name(self) -> str:
        """What it is called."""


Part = TypeVar("Part", bound=Named)


def run_each(
    parts: Sequence[Part],
    run: Callable[[Part], str],
    work: Callable[[Part], float],
    bar: "tqdm[Any]",
    *,
    steps: int = 1,
    reason: Callable[[Exception], str] = short_reason,
) -> int:
    """Run parts and show each beside the bar as it ends.

    Parameters
    ----------
    parts : sequence
        What to run, in this order.
    run : callable
        Runs one and returns its result for people.
    work : callable
        Roughly how long one takes, in any unit.
    bar : tqdm
        Of the progress.
    steps : int
        By how much the bar moves after a part.
    reason : callable
        Returns what to show of an error.

    Returns
    -------
    int
        How many failed.
    """
    failed, done, total = 0, 0.0, sum(map(work, parts))
    started = time.monotonic()
    for number, part in enumerate(parts, start=1):
        try:
            told = run(part)
        except Exception as error:  # one part must not take the others with it
            failed += 1
            told = f"failed: {reason(error)}"
        done += work(part)
        minutes = (time.monotonic() - started) / done * (total - done) / 60
        bar.write(f"{number}/{len(parts)} {part.name}: {told}; about {minutes:.0f} min left")
        bar.update(steps)
    return failed


def claim_file(path: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings that a folder's results depend on into a file in it.

    Raises
    ------
    ConfigError
        When the file is there and holds others.
    """
    text = json.dumps(settings, indent=2) + "\n"
    if not path.exists():
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{path.parent} holds results of other settings: choose another --folder")
