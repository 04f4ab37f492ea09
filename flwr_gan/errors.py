"""All errors that the package raises on purpose.

::

    FlwrGanError
    ├── ConfigError        a setting is unknown, mistyped or out of range
    ├── AppError           ``--app`` names no Flower app
    ├── DataError          data files are missing, truncated or not what they should be
    ├── PartitionError     a split leaves a client without data
    ├── CodecError         a codec is unknown, not installed, or cannot encode this array
    ├── PayloadError       received bytes cannot be decoded
    ├── TrainingError      training met a value that is not finite, or no client delivered
    ├── LayerCollapseError pruning would remove every weight of a layer
    └── OutputError        a result cannot be written or read back
"""


class FlwrGanError(Exception):
    """Base of all errors that the package raises on purpose: one readable line."""

    exit_status = 1


class ConfigError(FlwrGanError):
    """A setting is unknown, mistyped or out of range."""

    exit_status = 2


class AppError(FlwrGanError):
    """``--app`` names no Flower app."""

    exit_status = 2


class DataError(FlwrGanError):
    """Data files are missing, truncated or not what they should be."""


class PartitionError(FlwrGanError):
    """A split leaves a client without data."""

    exit_status = 2


class CodecError(FlwrGanError):
    """A codec is unknown, not installed, or cannot encode this array."""

    exit_status = 2


class PayloadError(FlwrGanError):
    """Received bytes cannot be decoded."""


class TrainingError(FlwrGanError):
    """Training met a value that is not finite, or no client delivered anything."""


class LayerCollapseError(FlwrGanError):
    """Pruning would remove every weight of a layer."""


class OutputError(FlwrGanError):
    """A result cannot be written or read back."""
