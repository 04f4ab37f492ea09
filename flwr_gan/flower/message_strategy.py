"""The wire for strategies of Flower's message API: an interface to the compressed grid."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from flwr_gan.flower.compressed_grid import CompressedGrid, refusal
from flwr_gan.flower.exchange import Exchange
from flwr_gan.flower.sampling import least_available, seeded_global_random, wait_until
from flwr_gan.flower.settings import WireSettings
from flwr_gan.flower.wrapping import StrategyWrapper, check_kind
from flwr_gan.wire.ledger import Ledger

log = getLogger(__name__)

_HOOKS = (
    "configure_train", "aggregate_train", "configure_evaluate", "aggregate_evaluate", "summary",
)  # fmt: skip


class CompressedMessageStrategy(StrategyWrapper, Strategy):
    """Wrap a strategy of Flower's message API so that its arrays are sent as coded payloads.

    The inner strategy sees plain array records; clients need ``mods=[compression_mod]``.
    ``start`` runs the inner strategy's method on a compressed grid. Replies are sorted by node, and
    clients are sampled with a seed once ``min_available_nodes`` are connected. Attributes and
    methods of the inner strategy are available on the wrapper; methods overridden in a subclass of
    the wrapper are used instead.

    Parameters
    ----------
    inner : flwr.serverapp.strategy.Strategy
        The strategy to wrap.
    codec : str
        Codec spec for both directions.
    seed : int
        Seed of client sampling.
    ledger : Ledger, optional
        Gets one row per message; a new one by default.
    **settings
        See ``WireSettings``: ``codec_up``, ``codec_down``, ``memory``, ``feedback``, ``include``,
        ``exclude``, ``max_reply_bytes``, ``strict``.

    Raises
    ------
    TypeError
        When `inner` is not a strategy of the message API.
    CodecError
        When a codec is unknown or not installed.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        codec: str = "sparse",
        seed: int = 0,
        ledger: Ledger | None = None,
        **settings: Any,
    ) -> None:
        check_kind(inner, Strategy, other=LegacyStrategy, wrapper="CompressedStrategy")
        exchange = Exchange(WireSettings(codec=codec, **settings), ledger=ledger)
        super().__init__(inner, exchange, seed=seed)
        self.inner: Strategy

    def start(self, grid: Grid, *args: Any, **kwargs: Any) -> Result:
        """Run the inner strategy's ``start`` on a compressed grid, with its arguments and result.

        Raises ``TypeError`` when the grid is already compressed, and ``TrainingError`` with
        ``strict`` when no reply was ever accepted.
        """
        if isinstance(grid, CompressedGrid):
            raise TypeError("the grid is compressed already: give it to the inner strategy's start")
        self.grid = CompressedGrid(grid, exchange=self.exchange)
        with self._hooked():
            result: Result = self.inner.start(self.grid, *args, **kwargs)
        return result

    def summary(self) -> None:
        """Log the codec and the inner strategy's settings."""
        log.info("payloads coded with %s", self.exchange.settings.label)
        self._of_inner("summary")()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy choose and configure nodes."""
        return self._configured("train", server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Hand the replies, sorted by node, to the inner strategy."""
        found = list(replies)
        if type(self.inner).aggregate_train.__module__.startswith("flwr."):
            found = self._without_outsiders(found)
        aggregated: tuple[ArrayRecord | None, MetricRecord | None]
        aggregated = self._of_inner("aggregate_train")(server_round, found)
        return aggregated

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Let the inner strategy choose and configure nodes."""
        return self._configured("evaluate", server_round, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Hand the replies, sorted by node, to the inner strategy."""
        metrics: MetricRecord | None = self._of_inner("aggregate_evaluate")(server_round, replies)
        return metrics

    def _configured(
        self,
        purpose: str,
        server_round: int,
        arrays: ArrayRecord,
        config: ConfigRecord,
        grid: Grid,
    ) -> list[Message]:
        wait_until(lambda: len(list(grid.get_node_ids())), least_available(self.inner))
        with seeded_global_random(self._seed_of(purpose, server_round)):
            configure = self._of_inner(f"configure_{purpose}")
            return list(configure(server_round, arrays, config, grid))

    def _of_inner(self, name: str) -> Any:
        """Return a method of the inner strategy's class, even while it is replaced."""
        return getattr(type(self.inner), name).__get__(self.inner)

    @contextmanager
    def _hooked(self) -> Iterator[None]:
        """Replace the inner strategy's methods by this wrapper's inside the context.

        The inner strategy's ``start`` calls its own methods, but those of the wrapper, or of a
        subclass of it, must run.
        """
        own = vars(self.inner)
        before = {name: own[name] for name in _HOOKS if name in own}
        own.update({name: getattr(self, name) for name in _HOOKS})
        try:
            yield
        finally:
            for name in _HOOKS:
                del own[name]
            own.update(before)

    def _without_outsiders(self, replies: list[Message]) -> list[Message]:
        """Refuse replies whose records differ from those of most others.

        A single one of them would make Flower's own strategies end the run.
        """
        shapes = Counter(_records(reply) for reply in replies if reply.has_content())
        if len(shapes) < 2:
            return replies
        (usual, _), *_ = shapes.most_common(1)
        text = "its records {} are not those of the other replies, {}"
        refused = self.exchange.books.refused
        return [
            refusal(reply, refused(text.format(_records(reply), usual)))
            if reply.has_content() and _records(reply) != usual
            else reply
            for reply in replies
        ]


Records = tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]


def _records(reply: Message) -> Records:
    """Return the names of a reply's array records, and of its metric records with their keys."""
    metrics = {name: tuple(sorted(r)) for name, r in reply.content.metric_records.items()}
    return tuple(sorted(reply.content.array_records)), tuple(sorted(metrics.items()))
