"""What grid and strategy wrappers share: an exchange around something of Flower's."""

from typing import Any

from flwr_gan.flower.exchange import Exchange
from flwr_gan.wire.ledger import Ledger


class Wrapper:
    """A wrapper with an exchange; attributes of what it wraps are reachable through it."""

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
        """Return an attribute of what is wrapped."""
        if name.startswith("__") or "inner" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        return getattr(self.__dict__["inner"], name)


class StrategyWrapper(Wrapper):
    """A strategy around another one.

    It can be pickled and copied between rounds; the grid is found anew.
    """

    def __repr__(self) -> str:
        inner, codec = self.__dict__.get("inner"), self.exchange.settings.label
        return f"{type(self).__name__}({inner!r}, codec={codec!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the grid, which belongs to a process."""
        return {**self.__dict__, "grid": None}
