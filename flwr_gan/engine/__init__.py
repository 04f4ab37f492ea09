"""Run any Flower app on this machine: clients in this process, or in Flower's own simulation."""

from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.run_apps import BACKENDS, run_apps

__all__ = ["BACKENDS", "InlineGrid", "run_apps"]
