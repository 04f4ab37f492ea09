"""FedAvg for bfloat16, which arrives as two bytes of no type and which flwr cannot average."""

from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg as LegacyFedAvg
from flwr.serverapp.strategy import FedAvg


def _mean(arrays: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    import ml_dtypes

    if arrays[0].dtype != np.dtype("V2"):
        return np.mean(arrays, axis=0)
    typed = [array.view(ml_dtypes.bfloat16).astype(np.float32) for array in arrays]
    return np.mean(typed, axis=0, dtype=np.float32).astype(ml_dtypes.bfloat16)


class LegacyBfloat16Average(LegacyFedAvg):
    """Average the values that two bytes stand for."""

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Average without weights."""
        if not results:
            return None, {}
        replies = [parameters_to_ndarrays(result.parameters) for _, result in results]
        return ndarrays_to_parameters([_mean(list(a)) for a in zip(*replies, strict=True)]), {}


class Bfloat16Average(FedAvg):
    """The same on the message API."""

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        """Average without weights."""
        valid, _ = self._check_and_log_replies(replies, is_train=True)
        if not valid:
            return None, None
        records = [next(iter(reply.content.array_records.values())) for reply in valid]
        means = {name: _mean([r[name].numpy() for r in records]) for name in records[0]}
        return ArrayRecord({name: Array(mean) for name, mean in means.items()}), None
