"""The one place where the matrix meets the wire: an app with it, or without."""

from collections.abc import Sequence
from typing import Any

from flwr.server.strategy import Strategy as LegacyStrategy

from flwr_gan.flower import CompressedMessageStrategy, CompressedStrategy, compression_mod


def behind_wire(strategy: Any, codec: str | None) -> Any:
    """Return a strategy of either API with its arrays coded; as it is without a codec."""
    if codec is None:
        return strategy
    wrapper = (
        CompressedStrategy if isinstance(strategy, LegacyStrategy) else CompressedMessageStrategy
    )
    return wrapper(strategy, codec=codec)


def grid_behind_wire(grid: Any, codec: str | None) -> Any:
    """Return a grid that codes arrays, for a loop without a strategy."""
    if codec is None:
        return grid
    from flwr_gan.flower import CompressedGrid

    return CompressedGrid(grid, codec=codec)


def client_mods(codec: str | None, mods: Sequence[Any]) -> list[Any]:
    """Return the mods of a client's app, the wire's outermost."""
    return [*([] if codec is None else [compression_mod]), *mods]
