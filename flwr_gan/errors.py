"""All errors that the package raises on purpose."""


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
