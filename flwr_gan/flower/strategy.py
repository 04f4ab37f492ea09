"""The server's half of the wire for Flower's legacy strategies."""

import random
import re
from collections.abc import Sequence
from functools import partial
from logging import getLogger
from typing import Any, TypeVar, cast

import numpy as np
from flwr.common import (
    EvaluateIns,
    EvaluateRes,
    FitIns,
    FitRes,
    GetParametersIns,
    GetPropertiesIns,
    Parameters,
    Scalar,
)
from flwr.compat.common.recorddict_compat import (
    evaluateins_to_recorddict,
    evaluateres_to_recorddict,
    fitins_to_recorddict,
    fitres_to_recorddict,
    getparametersins_to_recorddict,
    getparametersres_to_recorddict,
    getpropertiesins_to_recorddict,
    getpropertiesres_to_recorddict,
)
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy
from flwr.serverapp.strategy import Strategy as MessageStrategy

from flwr_gan.errors import PayloadError
from flwr_gan.flower.exchange import Entry, Exchange
from flwr_gan.flower.notes import NOTE, QUERY, partition_in
from flwr_gan.flower.records import (
    PAYLOAD_STYPE,
    Arrays,
    named_parameters,
    parameters_payload,
    payload_parameters,
)
from flwr_gan.flower.reply import CodedReply
from flwr_gan.flower.sampling import OrderedClientManager
from flwr_gan.flower.transport import fit_reply_bytes, message_bytes
from flwr_gan.seeding import derive_seed
from flwr_gan.wire import Template
from flwr_gan.wire.ledger import Ledger

log = getLogger(__name__)

HINT = ": the client got a payload and could not read it; list compression_mod in its mods"
Ins = TypeVar("Ins", FitIns, EvaluateIns)
_RECORDS = {FitIns: "fitins.parameters", EvaluateIns: "evaluateins.parameters"}
_NOTHING = Template.of({})
Failures = list[tuple[ClientProxy, Any] | BaseException]


class CodedFitRes(FitRes):
    """A reply that keeps its payload and decodes the parameters each time they are read.

    An inner strategy that folds the replies one by one therefore holds one decoded client at a
    time; one that wants the payload itself finds it in `coded`, and who sent it in `partition`.
    """

    def __init__(self, result: FitRes, coded: CodedReply, partition: int) -> None:
        self.coded = coded
        self.partition = partition
        self._replaced: Parameters | None = None
        self.status, self.num_examples = result.status, result.num_examples
        self.metrics = result.metrics

    @property
    def parameters(self) -> Parameters:
        """The decoded parameters, or those that a strategy has put in their place."""
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


class CompressedStrategy(Strategy):
    """Wrap a legacy Flower strategy so that its parameters travel as coded payloads.

    The inner strategy sees plain parameters; clients need ``mods=[compression_mod]``. Replies are
    sorted by partition before the inner strategy sees them, and clients are sampled with a seed,
    so that a run is the same on every engine. A reply that is corrupt, of another shape or not
    finite becomes a failure of its round.

    Parameters
    ----------
    inner : flwr.server.strategy.Strategy
        The strategy to wrap. When it has a method ``reply_template() -> Template``, replies must
        match that instead of what was broadcast. Where its ``accepts_unchanged`` is true, a reply
        with the metric ``unchanged`` holds no arrays. Where it has ``watch_replies(num_examples)``,
        that is called with the samples of all replies before they are checked, and what it returns
        with ``(reply, survivors, num_examples)`` of each that is sound, so that it need not decode
        them a second time.
    codec : str
        Codec spec for both directions.
    seed : int
        Seed of client sampling.
    ledger : Ledger, optional
        Takes a row for each message; a new one by default.
    also_codecs : sequence of str
        Lossless codecs that every message is coded with as well, for comparison; their ledgers
        are ``exchange.also_ledgers``.
    memory : bool
        Payloads may lean on what their receiver is known to hold: on by default.
    feedback : bool
        What a lossy codec loses is added to what its sender sends next: off by default.

    Raises
    ------
    TypeError
        When `inner` is not a legacy strategy.
    CodecError
        When `codec` is unknown or not installed.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        codec: str = "sparse",
        seed: int = 0,
        ledger: Ledger | None = None,
        also_codecs: Sequence[str] = (),
        memory: bool = True,
        feedback: bool = False,
    ) -> None:
        if isinstance(inner, MessageStrategy):
            raise TypeError(
                f"{type(inner).__name__} is a flwr.serverapp strategy: wrap it in "
                "CompressedMessageStrategy instead"
            )
        if not isinstance(inner, Strategy):
            raise TypeError(f"expected a flwr.server strategy, got {type(inner).__name__}")
        self.inner = inner
        self.seed = seed
        self.exchange = Exchange(
            codec,
            Ledger() if ledger is None else ledger,
            also_codecs,
            memory=memory,
            feedback=feedback,
        )
        self.failures: dict[int, list[str]] = {}
        self.latest: list[CodedFitRes] = []
        self._proxies: dict[int, ClientProxy] = {}

    @property
    def ledger(self) -> Ledger:
        """The rows of all messages so far."""
        return self.exchange.ledger

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters | None:
        """Return the inner strategy's initial parameters, or ask a client for its own, coded."""
        self.exchange.begin(0, "init")
        parameters = self.inner.initialize_parameters(client_manager)
        if parameters is not None:
            return parameters
        chosen = self._view(client_manager, "initial").sample(1)
        if not chosen:
            return None
        (client,) = chosen
        node = int(client.cid)
        self._partitions_of([client])
        ins = GetParametersIns({NOTE: self.exchange.note})
        self.exchange.carried("down", node, message_bytes(getparametersins_to_recorddict(ins)))
        result = client.get_parameters(ins, None, 0)
        content = getparametersres_to_recorddict(result, keep_input=True)
        entry = self.exchange.carried("up", node, message_bytes(content))
        payload = parameters_payload(result.parameters)
        coded = self.exchange.reply(node, payload)
        self.exchange.check(entry, coded)
        return coded.parameters()

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Encode what the inner strategy wants to send, once for each distinct broadcast."""
        self.exchange.begin(server_round, "train")
        view = self._view(client_manager, "train", server_round)
        return self._encode(self.inner.configure_fit(server_round, parameters, view))

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: Failures,
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Check each reply and hand the good ones, sorted by partition, to the inner strategy."""
        good: list[tuple[ClientProxy, FitRes]] = []
        bad: Failures = list(failures)
        expected = getattr(self.inner, "reply_template", lambda: None)()
        watch = getattr(self.inner, "watch_replies", None)
        show = watch and watch(sum(result.num_examples for _, result in results))
        self.latest = []
        for client, result in sorted(results, key=_place):
            node = int(client.cid)
            try:
                entry = self._answered(node, result)
                payload = parameters_payload(result.parameters)
                silent = self._says_unchanged(result)
                reply = self.exchange.reply(node, payload, _NOTHING if silent else expected)
                survivors = self.exchange.check(entry, reply)
            except PayloadError as error:
                bad.append(error)
            else:
                if show is not None:
                    show(reply, survivors, result.num_examples)
                coded = CodedFitRes(result, reply, entry.row.client)
                good.append((client, coded))
                if silent:
                    entry.set_kind("unchanged")
                else:
                    self.latest.append(coded)
        self._settle(server_round, bad)
        return self.inner.aggregate_fit(server_round, good, bad)

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, EvaluateIns]]:
        """Encode what the inner strategy wants evaluated at the clients."""
        self.exchange.begin(server_round, "evaluate")
        view = self._view(client_manager, "evaluate", server_round)
        return self._encode(self.inner.configure_evaluate(server_round, parameters, view))

    def aggregate_evaluate(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, EvaluateRes]],
        failures: Failures,
    ) -> tuple[float | None, dict[str, Scalar]]:
        """Log the replies and hand them, sorted by partition, to the inner strategy."""
        good: list[tuple[ClientProxy, EvaluateRes]] = []
        bad: Failures = list(failures)
        for client, result in sorted(results, key=_place):
            content = evaluateres_to_recorddict(result)
            try:
                note = result.metrics.pop(NOTE, None)
                self.exchange.answered(int(client.cid), note, message_bytes(content))
                if not np.isfinite(result.loss):
                    raise PayloadError("the reported loss is not finite")
            except PayloadError as error:
                bad.append(error)
            else:
                good.append((client, result))
        self._settle(server_round, bad)
        return self.inner.aggregate_evaluate(server_round, good, bad)

    def evaluate(
        self, server_round: int, parameters: Parameters
    ) -> tuple[float, dict[str, Scalar]] | None:
        """Evaluate plain parameters as the inner strategy does; nothing travels."""
        return self.inner.evaluate(server_round, parameters)

    def _encode(self, instructions: list[tuple[ClientProxy, Ins]]) -> list[tuple[ClientProxy, Ins]]:
        coded: list[tuple[ClientProxy, Ins]] = []
        strangers = set(self.exchange.strangers(int(client.cid) for client, _ in instructions))
        self._partitions_of([client for client, _ in instructions if int(client.cid) in strangers])
        self._proxies = {int(client.cid): client for client, _ in instructions}
        for client, ins in instructions:
            node, record = int(client.cid), _RECORDS[type(ins)]
            read = partial(named_parameters, ins.parameters)
            sent = self.exchange.broadcast(ins.parameters, read, node, record)
            config = {**ins.config, NOTE: self.exchange.note}
            out = type(ins)(payload_parameters(sent[0].payload), config)
            to_content = (
                fitins_to_recorddict if isinstance(out, FitIns) else evaluateins_to_recorddict
            )
            content = to_content(cast(Any, out), keep_input=True)
            self.exchange.sent(node, {record: sent}, content)
            coded.append((client, out))
        return coded

    def _answered(self, node: int, result: FitRes) -> Entry:
        """Enter a training reply; its records are made only for codecs to be compared on them."""
        weight, exchange = fit_reply_bytes(result), self.exchange
        content = fitres_to_recorddict(result, keep_input=True) if exchange.also_codecs else None
        return exchange.answered(node, result.metrics.pop(NOTE, None), weight, content=content)

    def _says_unchanged(self, result: FitRes) -> bool:
        """Tell whether a reply says that there is nothing new, to a strategy that allows it."""
        allowed = getattr(self.inner, "accepts_unchanged", False)
        return bool(allowed and result.metrics.get("unchanged", False))

    def _settle(self, server_round: int, failures: Failures) -> None:
        """Log why clients failed, and find out who they were."""
        reasons = [_reason(failure) for failure in failures]
        self.failures.setdefault(server_round, []).extend(reasons)
        for reason in reasons:
            log.warning("round %d: a client was dropped: %s", server_round, reason)
        self._partitions_of([self._proxies[node] for node in self.exchange.unanswered()])

    def _view(
        self, client_manager: ClientManager, purpose: str, server_round: int = 0
    ) -> OrderedClientManager:
        rng = random.Random(derive_seed(self.seed, f"sample-{purpose}", round=server_round))
        return OrderedClientManager(client_manager, rng=rng, partition_of=self._partitions_of)

    def _partitions_of(self, clients: list[ClientProxy]) -> dict[str, int]:
        """Return the partitions of clients, asking the mods of those that are not known yet."""
        for client in clients:
            node = int(client.cid)
            if self.exchange.partitions.get(node, -1) < 0:
                self.exchange.learn(node, self._ask(client, node))
        return {client.cid: self.exchange.partitions[int(client.cid)] for client in clients}

    def _ask(self, client: ClientProxy, node: int) -> int:
        ins = GetPropertiesIns({NOTE: QUERY})
        question = getpropertiesins_to_recorddict(ins)
        asked = self.exchange.carried("down", node, message_bytes(question), kind="init")
        try:
            result = client.get_properties(ins, None, self.exchange.round)
            partition = int(str(result.properties["partition-id"]))
        except Exception as error:  # whatever a transport raises for a node that is gone
            log.info("node %d does not tell its partition: %s", node, error)
            return -1
        asked.set_client(partition)
        weight = message_bytes(getpropertiesres_to_recorddict(result))
        answer = self.exchange.carried("up", node, weight, kind="init")
        answer.set_client(partition)
        return partition


def _place(reply: tuple[ClientProxy, FitRes | EvaluateRes]) -> tuple[int, int]:
    client, result = reply
    return partition_in(result.metrics.get(NOTE)), int(client.cid)


def _reason(failure: tuple[ClientProxy, Any] | BaseException) -> str:
    """Return one line that says why a client failed, without what Flower wraps around it."""
    if isinstance(failure, BaseException):
        text = str(failure) or type(failure).__name__
    else:
        text = str(failure[1].status.message)
    wrapped = re.fullmatch(
        r"Message contains an Error \(reason: (.*)\)\. It originated.*", text, re.S
    )
    text = " ".join((wrapped[1] if wrapped else text).split())
    return text + HINT if PAYLOAD_STYPE in text or "pickled" in text else text
