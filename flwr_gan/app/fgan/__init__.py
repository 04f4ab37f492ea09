"""The ``fgan`` command: inspect payload files, and convert them from and to other formats."""

from flwr_gan.app.fgan.command import main

__all__ = ["main"]
