"""Random subsets of changes for SecAgg+: fewer numbers are masked, and their sums stay exact.

Masked vectors cannot be compressed, so each matrix is replaced by a drawn share of its changes
before masking. All clients with the same broadcast draw the same weights (``randk``).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from flwr.app import Context, Message
from flwr.common import FitIns, NDArrays, Parameters, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy

from flwr_gan.flower.averaging import Averaged, Failures, Results
from flwr_gan.flower.flwr_private import ClientAppCallable
from flwr_gan.flower.memory import ClientMemory
from flwr_gan.flower.pruned import AroundStrategy
from flwr_gan.flower.records import arrays_to_record, record_to_arrays
from flwr_gan.wire.floats import is_float
from flwr_gan.wire.stages.randk import RandKStage

_IN, _OUT = "fitins.parameters", "fitres.parameters"


class SubsampledMod:
    """Send a random share of the changes of each matrix instead of all weights.

    It comes after ``secaggplus_mod``, with ``Subsampled`` of the same share on the server::

        ClientApp(client_fn, mods=[secaggplus_mod, SubsampledMod(0.1)])

    Changes that are not sent are added to the client's next update (error feedback). Arrays of
    other types, or with fewer than two axes, are sent as changes in full.

    Parameters
    ----------
    fraction : float
        Share of the weights of a matrix, 0.0001 to 0.9999.

    Raises
    ------
    CodecError
        When the share cannot be used.
    """

    def __init__(self, fraction: float) -> None:
        self.stage = _stage(fraction)

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Handle a message."""
        came = message.content.array_records.get(_IN)
        reply = call_next(message, context)
        if came is None or not reply.has_content() or _OUT not in reply.content.array_records:
            return reply
        memory = ClientMemory(context)
        held = record_to_arrays(came)
        made = record_to_arrays(reply.content.array_records[_OUT])
        left = memory.left("residual", _OUT) or {}
        parts, residual = {}, {}
        for name, near in held.items():
            change = made[name] - near
            places = _places(self.stage, near)
            if places is None:
                parts[name] = change
                continue
            change = change + left[name] if name in left else change
            parts[name] = change.reshape(-1)[places]
            change.reshape(-1)[places] = 0
            residual[name] = change
        memory.leave("residual", _OUT, residual)
        reply.content[_OUT] = arrays_to_record(parts)
        return reply


class Subsampled(AroundStrategy):
    """Wrap a legacy strategy whose clients have a ``SubsampledMod`` of the same share.

    It takes each reply, or the sum of all from SecAgg+, as changes of the broadcast::

        strategy=Subsampled(FedAvg(), 0.1)

    Parameters
    ----------
    inner : flwr.server.strategy.Strategy
        The strategy to wrap.
    fraction : float
        Share of the weights of a matrix, 0.0001 to 0.9999.

    Raises
    ------
    TypeError
        When `inner` is not a legacy strategy.
    CodecError
        When the share cannot be used.
    """

    def __init__(self, inner: Strategy, fraction: float) -> None:
        super().__init__(inner)
        self.stage = _stage(fraction)
        self._sent: NDArrays = []

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Remember the broadcast."""
        self._sent = parameters_to_ndarrays(parameters)
        return self.inner.configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Pass full weights to the inner strategy: the broadcast plus the changes."""
        for _, result in results:
            changes = parameters_to_ndarrays(result.parameters)
            result.parameters = ndarrays_to_parameters(self._moved(changes))
        return self.inner.aggregate_fit(server_round, results, failures)

    def _moved(self, changes: Sequence[Any]) -> NDArrays:
        weights = []
        for near, change in zip(self._sent, changes, strict=True):
            places = _places(self.stage, near)
            moved = near.copy()
            if places is None:
                moved = (near + change).astype(near.dtype)
            else:
                moved.reshape(-1)[places] += change.reshape(-1).astype(near.dtype)
            weights.append(moved)
        return weights


def _stage(fraction: float) -> RandKStage:
    return RandKStage.from_spec((str(fraction),))


def _places(stage: RandKStage, near: Any) -> Any:
    """Return which weights of a matrix are drawn; None if all are sent."""
    survives = np.flatnonzero(near)
    if near.ndim < 2 or not is_float(near.dtype) or not len(survives):
        return None
    return survives[stage.places(near.reshape(-1)[survives])]
