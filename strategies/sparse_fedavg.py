"""Federated averaging of the weights that survive, for clients that share the mask."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flwr.common import FitRes, Parameters, Scalar, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg
from numpy.typing import NDArray

from flwr_gan.codecs.arrays import Array
from flwr_gan.flower.strategy import CodedFitRes
from flwr_gan.wire import Base


class SparseFedAvg(FedAvg):
    """FedAvg that averages the surviving values alone where every reply has the broadcast's mask.

    The same numbers as FedAvg, bit for bit: what is pruned everywhere is zero in the average too,
    and the rest goes through FedAvg's own arithmetic. Where a reply has another mask, as when a
    weight became exactly zero, the round is averaged as FedAvg does. To be wrapped in
    ``CompressedStrategy``, with the codec ``sparse`` and any stage of single weights before it.
    """

    def __repr__(self) -> str:
        """Return the name and Flower's settings."""
        return f"Sparse{super().__repr__()}"

    def aggregate_fit(
        self,
        server_round: int,
        results: list[tuple[ClientProxy, FitRes]],
        failures: list[tuple[ClientProxy, FitRes] | BaseException],
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Average values alone where that is all there is, else whole arrays."""
        base = _common_base(results)
        if base is None:
            return super().aggregate_fit(server_round, results, failures)
        alone: list[tuple[ClientProxy, FitRes]] = [
            (client, _Survivors(result))
            for client, result in results
            if isinstance(result, CodedFitRes)
        ]
        averaged, metrics = super().aggregate_fit(server_round, alone, failures)
        if averaged is None:
            return None, metrics
        (values,) = parameters_to_ndarrays(averaged)
        return ndarrays_to_parameters(_spread(values, base)), metrics

    def state_arrays(self) -> dict[str, NDArray[Any]]:
        """Return nothing: the strategy has no state of its own."""
        return {}

    def load_state_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what ``state_arrays`` gave."""


class _Survivors(FitRes):
    """A reply whose parameters are its surviving values, one after the other; decoded when read."""

    def __init__(self, result: CodedFitRes) -> None:
        self._coded = result.coded
        self.status, self.num_examples = result.status, result.num_examples
        self.metrics = result.metrics

    @property
    def parameters(self) -> Parameters:  # type: ignore[override]
        """The values of all layers."""
        return ndarrays_to_parameters([np.concatenate(self._coded.survivors() or [])])


def _common_base(results: list[tuple[ClientProxy, FitRes]]) -> Base | None:
    """Return the base whose mask all replies have, if there is one."""
    bases: dict[bytes, Base] = {}
    for _, result in results:
        coded = result.coded if isinstance(result, CodedFitRes) else None
        if coded is None or coded.base is None or not coded.has_base_mask:
            return None
        bases[coded.base.name("mask")] = coded.base
    return next(iter(bases.values())) if len(bases) == 1 else None


def _spread(values: Array, base: Base) -> list[Array]:
    """Return arrays with the values at the base's survivors and zeros elsewhere."""
    arrays = []
    taken = 0
    for layer, spec in enumerate(base.template.specs):
        flat = np.zeros(spec.size, values.dtype)
        for positions in base.arrays.layers.survivors(layer):
            flat[positions] = values[taken : taken + len(positions)]
            taken += len(positions)
        arrays.append(flat.reshape(spec.shape))
    return arrays
