"""What the project says while it works: plain lines on standard output."""

import logging
import sys


def log_to_stdout(*, verbose: bool = False) -> None:
    """Write the lines of this project to standard output; with `verbose`, details too."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("flwr_gan", "strategies"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.DEBUG if verbose else logging.INFO)
        logger.propagate = False
