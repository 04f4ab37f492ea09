"""Where a run's figures go beside its own files: ``logger=NAME`` of the run's config."""

from flwr_gan.loggers.base import RunLogger
from flwr_gan.loggers.registry import check_logger, logger_names, open_logger

__all__ = ["RunLogger", "check_logger", "logger_names", "open_logger"]
