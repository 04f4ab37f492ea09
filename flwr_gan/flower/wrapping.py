"""Base classes of grid and strategy wrappers: an exchange around a Flower object."""

from collections.abc import Callable
from typing import Any

from flwr_gan.flower.exchange import Exchange
from flwr_gan.seeding import derive_seed
from flwr_gan.wire.ledger import Ledger


def check_kind(inner: object, kind: type, *, other: type, wrapper: str) -> None:
    """Raise ``TypeError`` unless a strategy is of a kind; name the wrapper for the other kind."""
    own, others = (".".join(of.__module__.split(".")[:2]) for of in (kind, other))
    name = type(inner).__name__
    if isinstance(inner, other):
        raise TypeError(f"{name} is a {others} strategy: wrap it in {wrapper} instead")
    if not isinstance(inner, kind):
        raise TypeError(f"expected a {own} strategy, got {name}")


def of_inner(name: str) -> Callable[..., Any]:
    """Return a method that calls the wrapped object's method of this name."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.inner, name)(*args, **kwargs)

    return method


class Wrapper:
    """A wrapper with an exchange; attributes of the wrapped object are available on it."""

    exchange: Exchange

    @property
    def ledger(self) -> Ledger:
        """The rows of all messages so far."""
        return self.exchange.books.ledger

    @property
    def failures(self) -> dict[int, list[str]]:
        """Why replies were refused or did not come, by round."""
        return self.exchange.books.failures

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the wrapped object."""
        if name.startswith("__") or "inner" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.__dict__["inner"], name)


class StrategyWrapper(Wrapper):
    """A strategy around another one.

    It can be pickled and copied between rounds; a copy looks up its grid again.
    """

    def __init__(self, inner: Any, exchange: Exchange, *, seed: int) -> None:
        self.inner = inner
        self.exchange = exchange
        self.seed = seed
        self.grid: Any = None  # the compressed grid during a run

    def _seed_of(self, purpose: str, server_round: int) -> int:
        """Return the seed of a sample of clients."""
        return derive_seed(self.seed, f"sample-{purpose}", round=server_round)

    def __repr__(self) -> str:
        inner, codec = self.__dict__.get("inner"), self.exchange.settings.label
        return f"{type(self).__name__}({inner!r}, codec={codec!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the grid, which belongs to a process."""
        return {**self.__dict__, "grid": None}
