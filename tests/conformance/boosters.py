"""Gradient boosting of xgboost: trees travel as bytes, longer in every round."""

from typing import Any

import numpy as np
from flwr.app import RecordDict
from flwr.common import Parameters

from flwr_gan.errors import ConfigError
from tests.conformance.model import Arrays, Config, Model, Score, Trained
from tests.conformance.other_models import client_digits, test_digits

SETTINGS = {
    "objective": "binary:logistic", "max_depth": 2, "eta": 0.5, "nthread": 1, "verbosity": 0,
}  # fmt: skip


class Boosters(Model):
    """Trees that tell digits below five from the others.

    Parameters
    ----------
    whole : bool
        Send all trees, as cyclic training wants it, and not the new one alone, as bagging does.
    """

    numpy_client = False

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole

    def initial(self) -> Arrays:
        """Return an array of no bytes, which stands for no trees."""
        return {"0": np.empty(0, np.uint8)}

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Add one tree."""
        xgboost = _xgboost()
        data, booster = _matrix(*client_digits(partition)), _booster(arrays)
        if booster is None:
            booster = xgboost.train(SETTINGS, data, num_boost_round=1)
        else:
            booster.update(data, booster.num_boosted_rounds())
            if not self._whole:
                booster = booster[booster.num_boosted_rounds() - 1 :]
        sent = np.frombuffer(booster.save_raw("json"), np.uint8)
        return Trained({"0": sent}, 1 / (1 + len(sent)), data.num_row())

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return log loss and accuracy."""
        x, y = test_digits()
        booster = _booster(arrays)
        p = np.full(len(y), 0.5) if booster is None else booster.predict(_matrix(x, y))
        small, p = y < 5, np.clip(p, 1e-6, 1 - 1e-6).astype(np.float64)
        loss = -np.log(np.where(small, p, 1 - p)).mean()
        return Score(float(loss), float(((p > 0.5) == small).mean()), len(y))

    def to_parameters(self, arrays: Arrays) -> Parameters:
        """Return bytes without a type; no trees are no tensors."""
        return Parameters([a.tobytes() for a in arrays.values() if a.size], "")

    def from_parameters(self, parameters: Parameters) -> Arrays:
        """Return bytes as an array."""
        tensors = parameters.tensors or [b""]
        return {str(i): np.frombuffer(tensor, np.uint8) for i, tensor in enumerate(tensors)}


def _booster(arrays: Arrays) -> Any:
    (trees,) = arrays.values()
    if not trees.size:
        return None
    booster = _xgboost().Booster(params=SETTINGS)
    booster.load_model(bytearray(trees.tobytes()))
    return booster


def _matrix(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Any:
    return _xgboost().DMatrix(x, label=y < 5)


def _xgboost() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise ConfigError(
            "boosters need xgboost: pip install 'flwr-gan[dev]', or leave these rows out"
        ) from error
    return xgboost
