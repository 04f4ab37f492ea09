"""The wire for strategies of Flower's legacy API: an interface to the compressed grid."""

import random
from collections.abc import Sequence
from logging import getLogger
from typing import Any

from flwr.app import Message, MessageType
from flwr.common import (
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    GetParametersIns,
    Parameters,
    Scalar,
)
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy
from flwr.serverapp.strategy import Strategy as MessageStrategy

from flwr_gan.errors import PayloadError
from flwr_gan.flower.averaging import (
    Averaged,
    Failures,
    Results,
    RunningMean,
    Scores,
    averages_in_place,
)
from flwr_gan.flower.comparison import CodecComparison
from flwr_gan.flower.compressed_grid import CompressedGrid, label_order
from flwr_gan.flower.exchange import Exchange
from flwr_gan.flower.flwr_private import GridClientProxy, fitins_to_recorddict, recorddict_to_fitres
from flwr_gan.flower.in_flight import Received
from flwr_gan.flower.notes import UNKNOWN, Label
from flwr_gan.flower.protocol import ReplyRules, TakesCodedReplies
from flwr_gan.flower.records import Arrays
from flwr_gan.flower.reply import CodedReply
from flwr_gan.flower.sampling import OrderedClientManager, least_available
from flwr_gan.flower.settings import WireSettings, completed
from flwr_gan.flower.wrapping import StrategyWrapper, check_kind, of_inner
from flwr_gan.wire.ledger import Ledger

log = getLogger(__name__)

RECORD = "fitres.parameters"
PLAIN = (
    "round %d: %d replies did not pass the wire and are not in the ledger: what SecAgg+ sends is "
    "masked and cannot be compressed"
)


class CodedFitRes(FitRes):
    """A reply that keeps its payload and decodes the parameters on each access.

    So an inner strategy that sums the replies one by one holds one decoded reply at a time; a
    strategy that needs the payload finds it in `coded`.

    Parameters
    ----------
    result : FitRes
        The reply.
    coded : CodedReply
        Its payload.
    label : int or str
        The sender's label for itself, its ``partition-id``.
    received : Received, optional
        The received reply, if it has not been checked yet.

    Attributes
    ----------
    staleness : int
        Number of aggregations since the server sent the model that the client trained.
    """

    staleness: int = 0

    def __init__(
        self, result: FitRes, coded: CodedReply, label: Label, received: Received | None = None
    ) -> None:
        self.coded = coded
        self.label = label
        self.received = received
        self._replaced: Parameters | None = None
        self.status, self.num_examples = result.status, result.num_examples
        self.metrics = result.metrics

    @classmethod
    def of(cls, received: Received) -> "CodedFitRes":
        """Return a reply that came through the compressed grid."""
        result = recorddict_to_fitres(received.content, keep_input=True)
        return cls(result, received.replies[RECORD], received.row.client, received)

    @property
    def parameters(self) -> Parameters:
        """The decoded parameters, or a strategy's replacement for them."""
        return self._replaced or self.coded.parameters()

    @parameters.setter
    def parameters(self, value: Parameters) -> None:
        self._replaced = value

    @property
    def payload(self) -> bytes:
        """The coded blob."""
        return self.coded.payload

    def arrays(self) -> Arrays:
        """Return the decoded arrays."""
        return self.coded.arrays()

    def trained_from(self) -> Arrays:
        """Return the arrays of the client's broadcast as it decoded them, in the reply's order.

        Raises ``PayloadError`` when the reply answers no known message.
        """
        held = None if self.received is None else self.received.base_of(RECORD)
        if held is None:
            raise PayloadError("the reply answers no broadcast that is known")
        return completed(held, self.coded.own, self.coded.order) if self.coded.own else held


class CodedClientProxy(GridClientProxy):
    """A client behind the compressed grid; its replies stay coded."""

    grid: CompressedGrid

    def fit(self, ins: FitIns, timeout: float | None, group_id: int | None) -> FitRes:
        """Train on the client; ``PayloadError`` when it fails, or its reply is refused."""
        message = Message(
            fitins_to_recorddict(ins, keep_input=True),
            self.node_id,
            MessageType.TRAIN,
            ttl=timeout,
            group_id=str(group_id) if group_id else "",
        )
        replies = self.grid.exchanged([message], CodedFitRes.of, timeout=timeout)
        if not replies:
            raise PayloadError(f"node {self.node_id} did not answer in time")
        (reply,) = replies
        if isinstance(reply, Message):
            raise PayloadError(str(reply.error.reason))
        return reply


class CompressedStrategy(StrategyWrapper, Strategy):
    """Wrap a legacy Flower strategy so that its parameters are sent as coded payloads.

    The inner strategy sees plain parameters; clients need ``mods=[compression_mod]``. Replies are
    sorted by node for the inner strategy, and clients are sampled with a seed once
    ``min_available_clients`` are connected, so that a run is the same on every engine. Attributes
    of the inner strategy are available on the wrapper.

    Parameters
    ----------
    inner : flwr.server.strategy.Strategy
        The strategy to wrap. A ``TakesCodedReplies`` sets the requirements on replies and gets them
        coded; any other strategy gets the same as from plain Flower. If it aggregates by
        ``FedAvg.aggregate_fit`` in place, replies are summed when they are checked, with the same
        result.
    codec : str
        Codec spec for both directions.
    seed : int
        Seed of client sampling.
    ledger : Ledger, optional
        Gets one row per message; a new one by default.
    also_codecs : sequence of str
        Lossless codecs with which every message is also coded, for comparison; their ledgers are
        ``comparison.ledgers``.
    **settings
        See ``WireSettings``: ``codec_up``, ``codec_down``, ``memory``, ``feedback``, ``include``,
        ``exclude``, ``max_reply_bytes``, ``strict``.

    Raises
    ------
    TypeError
        When `inner` is not a legacy strategy.
    CodecError
        When a codec is unknown or not installed, or one of ``also_codecs`` is lossy.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        codec: str = "sparse",
        seed: int = 0,
        ledger: Ledger | None = None,
        also_codecs: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        check_kind(inner, Strategy, other=MessageStrategy, wrapper="CompressedMessageStrategy")
        wire = WireSettings(codec=codec, **settings)
        self.comparison = CodecComparison(also_codecs, beside=wire)
        listeners = [self.comparison] if also_codecs else []
        super().__init__(inner, Exchange(wire, ledger=ledger, listeners=listeners), seed=seed)
        self.inner: Strategy
        self.latest: list[CodedFitRes] = []

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters | None:
        """Return the inner strategy's initial parameters, or ask a client for its own, coded."""
        view = self._view(client_manager, "initial")
        parameters = self.inner.initialize_parameters(view)
        if parameters is not None:
            return parameters
        chosen = view.sample(1)
        if not chosen:
            return None
        return self._coded(chosen[0]).get_parameters(GetParametersIns({}), None, 0).parameters

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Let the inner strategy choose; its clients are reached through the compressed grid."""
        view = self._view(client_manager, "train", server_round)
        chosen = self.inner.configure_fit(server_round, parameters, view)
        own = self.inner
        self.exchange.rules = (
            own.reply_rules() if isinstance(own, TakesCodedReplies) else ReplyRules()
        )
        return [(self._coded(client), ins) for client, ins in chosen]

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Check each reply and pass the valid ones, sorted by node, to the inner strategy."""
        good: Results = []
        bad: Failures = list(failures)
        for failure in failures:
            if isinstance(failure, tuple):
                self.exchange.books.refused(str(failure[1].status.message))
            elif not isinstance(failure, PayloadError):  # these are counted already
                self.exchange.books.refused(f"{type(failure).__name__}: {failure}")
        total = sum(result.num_examples for _, result in results)
        own = self.inner
        mean = None
        take = own.begin_replies(total) if isinstance(own, TakesCodedReplies) else None
        if take is None and averages_in_place(own):
            mean = RunningMean(total)
            take = mean.add
        self.latest = []
        plain = 0
        for client, result in sorted(results, key=self._place):
            if not isinstance(result, CodedFitRes) or result.received is None:
                plain += 1
                good.append((client, result))
                continue
            try:
                found = self.exchange.check(result.received, decode=False)
            except PayloadError as error:
                bad.append(PayloadError(self.exchange.books.refused(str(error))))
                continue
            if take is not None:
                take(result.coded, found.pop(RECORD), result.num_examples)
            del found  # before the next reply is decoded
            good.append((client, result))
            if result.received.row.kind != "unchanged":
                self.latest.append(result)
        if plain:
            log.warning(PLAIN, server_round, plain)
        self.exchange.books.settle()
        if mean is not None and mean.is_of(good):
            return mean.aggregate(own.aggregate_fit, server_round, good, bad)
        return own.aggregate_fit(server_round, good, bad)

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, EvaluateIns]]:
        """Let the inner strategy choose; its clients are reached through the compressed grid."""
        view = self._view(client_manager, "evaluate", server_round)
        chosen = self.inner.configure_evaluate(server_round, parameters, view)
        return [(self._coded(client), ins) for client, ins in chosen]

    def aggregate_evaluate(
        self, server_round: int, results: Scores, failures: Failures
    ) -> tuple[float | None, dict[str, Scalar]]:
        """Hand the replies, sorted by node, to the inner strategy."""
        self.exchange.books.settle()
        ordered = sorted(results, key=self._place)
        return self.inner.aggregate_evaluate(server_round, ordered, failures)

    evaluate = of_inner("evaluate")

    def _coded(self, client: ClientProxy) -> CodedClientProxy:
        """Return a client behind the compressed grid."""
        if not isinstance(client, GridClientProxy):
            raise TypeError(f"{type(client).__name__}: the wire needs clients of Flower's grid")
        if self.grid is None or self.grid.inner is not client.grid:
            self.grid = CompressedGrid(client.grid, exchange=self.exchange)
        return CodedClientProxy(client.node_id, self.grid, client.run_id)

    def _place(self, reply: tuple[ClientProxy, FitRes | EvaluateRes]) -> Any:
        node = int(reply[0].cid)
        return label_order(self.exchange.books.labels.get(node, UNKNOWN), node)

    def _view(
        self, client_manager: ClientManager, purpose: str, server_round: int = 0
    ) -> OrderedClientManager:
        rng = random.Random(self._seed_of(purpose, server_round))
        return OrderedClientManager(client_manager, rng=rng, least=least_available(self.inner))
