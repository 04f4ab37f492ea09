"""Models of the matrix that are no networks: coefficients, tiny arrays, nothing, raw floats."""

import warnings
from typing import Any

import numpy as np
from flwr.app import RecordDict
from flwr.common import Parameters
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from tests.conformance.model import Arrays, Config, Model, Score, Trained, train_examples
from tests.conformance.tasks import digits


def client_digits(partition: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return a client's digits as arrays."""
    x, y = digits().train[partition]
    return x.numpy().astype(np.float64), y.numpy()


def test_digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the test set as arrays."""
    x, y = digits().test
    return x.numpy().astype(np.float64), y.numpy()


def softmax_score(scores: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Score:
    """Return the score of a linear classifier's outputs."""
    scores = scores - scores.max(axis=1, keepdims=True)
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    loss = -logs[np.arange(len(y)), y].mean()
    return Score(float(loss), float((scores.argmax(1) == y).mean()), len(y))


class Coefficients(Model):
    """Logistic regression of scikit-learn: coefficients and intercepts in float64."""

    def initial(self) -> Arrays:
        """Return zeros."""
        return {"coef": np.zeros((10, 64)), "intercept": np.zeros(10)}

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Continue from the coefficients for a few iterations."""
        x, y = client_digits(partition)
        model = LogisticRegression(max_iter=4, warm_start=True)
        coef, intercept = (np.array(array, order="C") for array in arrays.values())
        model.classes_, model.coef_, model.intercept_ = np.arange(10), coef, intercept
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x, y)
        sent = {"coef": model.coef_, "intercept": model.intercept_}
        return Trained(sent, softmax_score(model.decision_function(x), y).loss, len(y))

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return loss and accuracy."""
        x, y = test_digits()
        coef, intercept = map(np.ascontiguousarray, arrays.values())  # one order of sums
        return softmax_score(x @ coef.T + intercept, y)


class TinyArrays(Model):
    """Hundreds of arrays of three values, which each client pulls towards its own."""

    COUNT = 200

    def initial(self) -> Arrays:
        """Return zeros."""
        return {f"layer_{i}.scale": np.zeros(3, np.float32) for i in range(self.COUNT)}

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Go a third of the way to the client's own values."""
        wanted = self._wanted(partition)
        sent = {k: v + (wanted[i] - v) / 3 for i, (k, v) in enumerate(arrays.items())}
        return Trained(sent, self._distance(arrays), train_examples(partition))

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return the mean squared distance to the client's own values."""
        return Score(self._distance(arrays), None, 100)

    def _wanted(self, partition: int) -> np.ndarray[Any, Any]:
        shared = np.random.default_rng(9).standard_normal((self.COUNT, 3))
        own = np.random.default_rng(partition).standard_normal((self.COUNT, 3))
        return (shared + own / 3).astype(np.float32)

    def _distance(self, arrays: Arrays) -> float:
        return float(np.square(np.array(list(arrays.values())) - self._wanted(0)).mean())


class NoArrays(Model):
    """No array at all: clients send metrics only."""

    def initial(self) -> Arrays:
        """Return nothing."""
        return {}

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Return what came."""
        return Trained(arrays, 0.5 + partition, train_examples(partition))

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Return a loss that counts the arrays."""
        return Score(float(len(arrays)), None, 10)


class RawFloats(Model):
    """A model whose tensors travel as the bytes of their float32 values, as Android's do.

    Neither shape nor type is sent: a flat array of float32 is what the server sees.
    """

    numpy_client = False

    def __init__(self, model: Model) -> None:
        self._model = model

    def initial(self) -> Arrays:
        """Return the inner model's arrays."""
        return self._model.initial()

    def train(
        self, arrays: Arrays, *, partition: int, config: Config, state: RecordDict
    ) -> Trained:
        """Train the inner model."""
        return self._model.train(arrays, partition=partition, config=config, state=state)

    def evaluate(self, arrays: Arrays, *, partition: int, state: RecordDict) -> Score:
        """Evaluate the inner model."""
        return self._model.evaluate(arrays, partition=partition, state=state)

    def to_parameters(self, arrays: Arrays) -> Parameters:
        """Return bytes."""
        return Parameters([a.astype(np.float32).tobytes() for a in arrays.values()], "numpy.nda")

    def from_parameters(self, parameters: Parameters) -> Arrays:
        """Return arrays of the model's shapes and types."""
        values = [np.frombuffer(tensor, np.float32) for tensor in parameters.tensors]
        return {
            name: value.reshape(known.shape).astype(known.dtype)
            for (name, known), value in zip(self.initial().items(), values, strict=True)
        }
