"""Federated averaging of only the surviving weights, for clients that share the mask."""

from flwr.common import FitRes, Parameters, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg

from flwr_gan.flower import CodedFitRes, CodedReplies
from flwr_gan.flower.averaging import Averaged, Failures, Results, RunningMean
from flwr_gan.flower.protocol import TakeReply
from flwr_gan.flower.records import scattered_parameters
from flwr_gan.wire import Base


class SparseFedAvg(FedAvg, CodedReplies):
    """FedAvg that averages only surviving values if every reply has the broadcast's mask.

    The result equals FedAvg bit for bit: weights pruned everywhere are zero in the average too, and
    the others use FedAvg's own arithmetic. Each reply is decoded once, when it is checked, and
    summed then. If a reply is refused or has another mask, as when a weight became exactly zero,
    the round is averaged again. Wrap it in ``CompressedStrategy``, with the codec ``sparse`` and
    any stage of single weights before it.
    """

    _running: RunningMean | None = None

    def __repr__(self) -> str:
        """Return the name and Flower's settings."""
        return f"Sparse{super().__repr__()}"

    def begin_replies(self, num_examples: int) -> TakeReply:
        """Begin an average over a number of samples; return a function that adds a reply."""
        self._running = RunningMean(num_examples)
        return self._running.add

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Return the finished sum; else average, using only survivors where possible."""
        running, self._running = self._running, None
        aggregate = super().aggregate_fit
        if running is not None and self.inplace and running.is_of(results):
            return running.aggregate(aggregate, server_round, results, failures)
        refused = bool(failures) and not self.accept_failures
        base = None if refused else _common_base(results)
        if base is None:
            return aggregate(server_round, results, failures)
        alone: Results = [
            (client, _Survivors(result))
            for client, result in results
            if isinstance(result, CodedFitRes)
        ]
        mean, own_metrics = aggregate(server_round, alone, failures)
        if mean is None:
            return None, own_metrics
        (values,) = parameters_to_ndarrays(mean)
        return scattered_parameters(base, values), own_metrics


class _Survivors(FitRes):
    """A reply whose parameters are only its surviving values, decoded on access."""

    def __init__(self, result: CodedFitRes) -> None:
        self._coded = result.coded
        self.status, self.num_examples = result.status, result.num_examples
        self.metrics = result.metrics

    @property
    def parameters(self) -> Parameters:  # type: ignore[override]
        """The values of all layers."""
        survivors = self._coded.survivors()
        return ndarrays_to_parameters([] if survivors is None else [survivors])


def _common_base(results: Results) -> Base | None:
    """Return the base whose mask all replies have, if there is one."""
    bases: dict[bytes, Base] = {}
    for _, result in results:
        coded = result.coded if isinstance(result, CodedFitRes) else None
        if coded is None or coded.base is None or not coded.has_base_mask:
            return None
        bases[coded.base.name("mask")] = coded.base
    return next(iter(bases.values())) if len(bases) == 1 else None
