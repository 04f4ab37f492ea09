"""What the project says while it works: plain lines on standard output."""

import logging
import sys


def log_to_stdout(level: int = logging.INFO, *, form: str = "%(message)s") -> None:
    """Write the lines of this project from a level on to standard output, in a form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(form))
    for name in ("flwr_gan", "strategies"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
