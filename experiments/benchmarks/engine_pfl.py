"""The tasks of ``engine_tasks.py`` on pfl-research (Granqvist et al. 2024), if it is installed.

``pip install pfl``. Its numpy engine is one process: a numpy model with ``FederatedAveraging``,
which passes arrays by reference and has no messages.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import ModelHyperParams
from pfl.internal.ops import numpy_ops
from pfl.internal.ops.selector import set_framework_module
from pfl.metrics import Metrics
from pfl.model.base import StatefulModel
from pfl.stats import MappedVectorStatistics

from experiments.benchmarks.engine_tasks import (
    CLASSES,
    PIXELS,
    SAMPLED,
    LrClient,
    RoundMeter,
    mapped,
)

Weights = list[NDArray[np.float32]]


class ClientModel(StatefulModel):  # type: ignore[misc]
    """The weights of a task, trained by the same code as on Flower's engines."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self._lr = task == "lr"
        shapes = [(PIXELS, CLASSES), (CLASSES,)] if self._lr else [(1,)]
        self._weights: Weights = [np.zeros(shape, np.float32) for shape in shapes]
        self.began = float("nan")

    def train(self, dataset: Dataset) -> None:
        """Train on the data of a client."""
        if np.isnan(self.began):
            self.began = time.time()
        if self._lr:
            self._weights, _, _ = LrClient(*dataset.raw_data).fit(self._weights, {})

    def get_parameters(self, placeholders: Any = None) -> Any:
        """Return a copy of the weights."""
        return self._statistics([array.copy() for array in self._weights])

    def set_parameters(self, w: Any) -> None:
        """Set the weights."""
        self._weights = [w[str(at)].copy() for at in range(len(self._weights))]

    def get_model_difference(self, other_parameters: Any, clone: bool = False) -> Any:
        """Return the weights minus those of another model."""
        return self._statistics(
            [own - other_parameters[str(at)] for at, own in enumerate(self._weights)]
        )

    def apply_model_update(self, statistics: Any) -> tuple["ClientModel", Metrics]:
        """Add a mean difference to the weights."""
        self._weights = [own + statistics[str(at)] for at, own in enumerate(self._weights)]
        return self, Metrics()

    def evaluate(self, *_: Any, **__: Any) -> Metrics:
        """Return no metrics."""
        return Metrics()

    def save(self, dir_path: str) -> None:
        """Save nothing."""

    def load(self, dir_path: str) -> None:
        """Load nothing."""

    def _statistics(self, arrays: Weights) -> Any:
        return MappedVectorStatistics({str(at): array for at, array in enumerate(arrays)})


class Averaging(FederatedAveraging):  # type: ignore[misc]
    """Federated averaging of a model that trains itself; pfl's class needs torch or TensorFlow."""

    def train_one_user(
        self, initial_model_state: Any, model: ClientModel, user_dataset: Dataset, _: Any
    ) -> tuple[Any, Metrics]:
        """Train a client; return the changes of its weights."""
        model.train(user_dataset)
        return model.get_model_difference(initial_model_state), Metrics()


class RoundTimes(TrainingProcessCallback):  # type: ignore[misc]
    """A meter of pfl's rounds."""

    def __init__(self) -> None:
        self.meter = RoundMeter()

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: Any, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        """Record the end of a round."""
        self.meter.note()
        return False, Metrics()


def measure_pfl(task: str, *, clients: int, rounds: int, data: Path) -> dict[str, object]:
    """Run one task on pfl in this process; return its row, like ``engine_tasks.measure``."""
    os.environ["PFL_WORKERS"] = "1"
    set_framework_module(numpy_ops)
    images, labels = mapped(str(data))

    def data_of(client: int) -> Dataset:
        return Dataset(raw_data=[images[client::clients], labels[client::clients]])

    federated = FederatedDataset(data_of, get_user_sampler("random", list(range(clients))))
    model, times = ClientModel(task), RoundTimes()
    started = time.time()
    Averaging().run(
        NNAlgorithmParams(
            central_num_iterations=rounds,
            evaluation_frequency=rounds + 1,
            train_cohort_size=SAMPLED,
            val_cohort_size=None,
        ),
        SimulatedBackend(training_data=federated, val_data=federated),
        model,
        model_train_params=ModelHyperParams(),
        callbacks=[times],
    )
    return {
        "engine": "pfl",
        "task": task,
        "clients": clients,
        "rounds": rounds,
        "first_message_s": model.began - started,
        **times.meter.row(),
    }
