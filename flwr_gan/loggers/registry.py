"""All loggers by name; one more is one module and one line here."""

import difflib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from flwr_gan.errors import ConfigError
from flwr_gan.loggers.base import RunLogger

_LOGGERS = {"tensorboard": "flwr_gan.loggers.tensorboard:TensorBoardLogger"}


def logger_names() -> list[str]:
    """Return the names of all loggers."""
    return sorted(_LOGGERS)


def check_logger(name: str | None) -> None:
    """Make sure that a logger is known and installed.

    Raises
    ------
    ConfigError
        When it is not.
    """
    if name is not None:
        _logger_class(name)


def open_logger(name: str | None, folder: Path, *, first_round: int) -> RunLogger | None:
    """Return the logger of a run, None where its config names none.

    Parameters
    ----------
    name : str or None
        What the run's config says.
    folder : Path
        The run's output folder.
    first_round : int
        The round that the run starts or goes on with.

    Raises
    ------
    ConfigError
        When the logger is unknown or not installed.
    """
    return None if name is None else _logger_class(name)(folder, first_round=first_round)


def _logger_class(name: str) -> type[RunLogger]:
    if name not in _LOGGERS:
        near = difflib.get_close_matches(name, _LOGGERS, n=1, cutoff=0.5)
        nearest = f" (nearest: {near[0]})" if near else ""
        raise ConfigError(f"logger={name}: allowed are {', '.join(_LOGGERS)}, null{nearest}")
    module, _, attribute = _LOGGERS[name].partition(":")
    found: type[RunLogger] = getattr(import_module(module), attribute)
    if find_spec(found.requires) is None:
        raise ConfigError(
            f"logger={name} needs {found.requires}: pip install 'flwr-gan[{found.extra}]'"
        )
    return found
