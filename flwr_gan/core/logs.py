"""Logging of the project: plain lines on standard output."""

import logging
import sys


def log_to_stdout(level: int = logging.INFO, *, form: str = "%(message)s") -> None:
    """Write this project's log lines from a level on to standard output, in a given format."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(form))
    for name in ("flwr_gan", "strategies"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
