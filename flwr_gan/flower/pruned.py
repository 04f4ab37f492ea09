"""Keep noise off pruned weights: zeros of a broadcast are restored in the replies to it.

Flower's differential privacy adds noise to every weight, so a sparse model becomes dense, and its
payload large. Here zeros are written back after the noise, at the places where the round's
broadcast was zero. These places are public before a client trains, so this is post-processing, and
the guarantee of the noise is unchanged. A mask found from the data of the round is different: see
PRIVACY.md beside this file.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord
from flwr.common import FitIns, Parameters, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy as MessageStrategy
from numpy.typing import NDArray

from flwr_gan.flower.averaging import Averaged, Failures, Results
from flwr_gan.flower.flwr_private import ClientAppCallable, ErrorCode
from flwr_gan.flower.packing import unpacked
from flwr_gan.flower.records import arrays_to_record, is_payload, record_to_arrays
from flwr_gan.flower.wrapping import of_inner


def pruned_places(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return where weights are pruned: zeros, unless the whole array is zero, as new biases are."""
    zero: NDArray[np.bool_] = array == 0
    return zero & ~zero.all()


def put_zeros(array: NDArray[Any], pruned: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the array with +0 at the pruned places; unchanged if the shapes differ."""
    return array if array.shape != pruned.shape else np.where(pruned, array.dtype.type(0), array)


def keep_pruned_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Restore the zeros of the broadcast in the reply after noise was added.

    It goes between the wire and the noise::

        mods=[compression_mod, keep_pruned_mod, LocalDpMod(...)]
    """
    content = unpacked(message.content)
    came = {
        name: {key: pruned_places(a) for key, a in record_to_arrays(record).items()}
        for name, record in content.array_records.items()
        if not is_payload(record)
    }
    if len(came) < len(content.array_records):
        reason = "keep_pruned_mod got a payload: list compression_mod before it in the mods"
        return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, reason), reply_to=message)
    reply = call_next(message, context)
    if not reply.has_content() or len(came) != 1:
        return reply
    (pruned,) = came.values()
    masks = list(pruned.values())
    for name, record in reply.content.array_records.items():
        arrays = record_to_arrays(record)
        if len(arrays) == len(masks):  # the legacy API names arrays by position in both directions
            kept = [put_zeros(a, m) for a, m in zip(arrays.values(), masks, strict=True)]
            reply.content[name] = arrays_to_record(dict(zip(arrays, kept, strict=True)))
    return reply


class AroundStrategy(Strategy):
    """A legacy strategy around another one; methods not overridden call the inner strategy."""

    otherwise: ClassVar[str] = "give it a strategy of flwr.server.strategy"
    """What to do with a strategy of the message API."""

    def __init__(self, inner: Strategy) -> None:
        if not isinstance(inner, Strategy):
            raise TypeError(f"{type(inner).__name__} is no flwr.server strategy: {self.otherwise}")
        self.inner = inner

    initialize_parameters = of_inner("initialize_parameters")
    configure_evaluate = of_inner("configure_evaluate")
    aggregate_evaluate = of_inner("aggregate_evaluate")
    evaluate = of_inner("evaluate")


class KeepPruned(AroundStrategy):
    """Wrap a legacy strategy so that the zeros of a round's broadcast stay zero after it.

    It goes between the wire and the noise::

        CompressedStrategy(KeepPruned(DifferentialPrivacyServerSideFixedClipping(FedAvg(), ...)))

    Parameters
    ----------
    inner : flwr.server.strategy.Strategy
        The strategy to wrap.

    Raises
    ------
    TypeError
        When `inner` is not a legacy strategy.
    """

    otherwise = "KeepPrunedMessages takes those of flwr.serverapp"

    def __init__(self, inner: Strategy) -> None:
        super().__init__(inner)
        self._pruned: list[NDArray[np.bool_]] = []

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Remember the zeros of the broadcast."""
        self._pruned = [pruned_places(a) for a in parameters_to_ndarrays(parameters)]
        return self.inner.configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Restore them in the inner strategy's aggregate."""
        parameters, metrics = self.inner.aggregate_fit(server_round, results, failures)
        if parameters is None:
            return None, metrics
        arrays = parameters_to_ndarrays(parameters)
        kept = [put_zeros(a, m) for a, m in zip(arrays, self._pruned, strict=True)]
        return ndarrays_to_parameters(kept), metrics


class KeepPrunedMessages(MessageStrategy):
    """``KeepPruned`` for strategies of the message API.

    Parameters
    ----------
    inner : flwr.serverapp.strategy.Strategy
        The strategy to wrap.

    Raises
    ------
    TypeError
        When `inner` is not a strategy of the message API.
    """

    def __init__(self, inner: MessageStrategy) -> None:
        if not isinstance(inner, MessageStrategy):
            raise TypeError(
                f"{type(inner).__name__} is no flwr.serverapp strategy: KeepPruned takes those of "
                "flwr.server"
            )
        self.inner = inner
        self._pruned: dict[str, NDArray[np.bool_]] = {}

    summary = of_inner("summary")
    configure_evaluate = of_inner("configure_evaluate")
    aggregate_evaluate = of_inner("aggregate_evaluate")

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Remember the zeros of the broadcast."""
        self._pruned = {key: pruned_places(a) for key, a in record_to_arrays(arrays).items()}
        return self.inner.configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Restore them in the inner strategy's aggregate."""
        arrays, metrics = self.inner.aggregate_train(server_round, replies)
        if arrays is None:
            return None, metrics
        kept = {key: put_zeros(a, self._pruned[key]) for key, a in record_to_arrays(arrays).items()}
        return arrays_to_record(kept), metrics
