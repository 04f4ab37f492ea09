"""Exit status and option parsing of commands."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence

from flwr_gan.errors import ConfigError, FlwrGanError


def run_command(
    name: str, work: Callable[[], int], *, interrupted: str = "the same command goes on from here"
) -> int:
    """Return the exit status of ``work``, or print its error in one line and return its status.

    ``interrupted`` is printed if the user stops it.
    """
    try:
        return work()
    except KeyboardInterrupt:
        print(f"interrupted; {interrupted}", file=sys.stderr)
        return 130
    except FlwrGanError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_status


def called(program: str, arguments: Sequence[str] | None) -> str:
    """Return the command line as it was given."""
    return f"{program} {shlex.join(sys.argv[1:] if arguments is None else arguments)}".rstrip()


def words(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the words between commas."""
    texts = [given] if isinstance(given, str) else given or ()
    return tuple(word for text in texts for word in text.split(",") if word)


def known(option: str, given: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """Return the words of an option, or raise a ConfigError that names the allowed ones."""
    for word in given:
        if word not in allowed:
            raise ConfigError(f"{option} {word}: allowed are {', '.join(allowed)}")
    return _once(option, given)


def whole_numbers(option: str, given: Sequence[str]) -> tuple[int, ...]:
    """Return words as integers >= 0, or raise a ConfigError that names the option."""
    for word in given:
        if not word.isdecimal():
            raise ConfigError(f"{option} {word} is not allowed: give whole numbers from 0")
    return tuple(map(int, _once(option, given)))


def _once(option: str, given: Sequence[str]) -> tuple[str, ...]:
    if len(set(given)) < len(given):
        raise ConfigError(f"{option} {','.join(given)} names something twice: name each once")
    return tuple(given)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, the device that trains the networks."""
    parser.add_argument("--device", default="cpu", help="where to train; default: cpu")


def check_device(name: str) -> None:
    """Raise a ConfigError if PyTorch cannot compute on the device."""
    import torch  # only here: commands that do not need it start faster

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--device {name} is not usable: {reason}; give cpu") from error
