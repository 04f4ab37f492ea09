"""One-shot learning of one generator: the server distils the pool without real data."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Count, Rate, checked
from flwr_gan.flower.averaging import Averaged, Failures, Results
from flwr_gan.methods.pool_distillation import PoolStudent
from strategies.generator_pool import GeneratorPool


class DistilledPool(GeneratorPool):
    """Distil the clients' generators into one student, and draw all samples from it.

    The messages are those of a `GeneratorPool`; the result is a single generator, for any number of
    clients.

    Parameters
    ----------
    new_student : callable
        ``new_student(width=..., iterations=..., batch_size=..., learning_rate=...)``: a student
        for generators of the form that clients upload.
    width : float
        Share of each hidden layer's channels that the student has; 1.0: as large as an upload.
    iterations : int
        Updates of the student.
    batch_size : int
        Latent vectors in a batch.
    learning_rate : float
        Learning rate of Adam.
    **pool
        Settings of `GeneratorPool`.

    Raises
    ------
    ConfigError
        When a setting is out of range, or the uploads' channels cannot be cut.
    """

    def __init__(
        self,
        *,
        new_student: Callable[..., PoolStudent],
        width: float = 1.0,
        iterations: int = 2000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        **pool: Any,
    ) -> None:
        super().__init__(**pool)
        for key, share in (("width", width), ("learning_rate", learning_rate)):
            checked(f"strategy.{key}", share, Rate)
        for key, count in (("iterations", iterations), ("batch_size", batch_size)):
            checked(f"strategy.{key}", count, Count)
        self._student = new_student(
            width=width, iterations=iterations, batch_size=batch_size, learning_rate=learning_rate
        )

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Add the payloads to the pool and distil it."""
        aggregated = super().aggregate_fit(server_round, results, failures)
        if self.held_classes:
            self._student.learn(self.generator, self._counts_PK)
        return aggregated

    def sample(self, labels_N: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        """Generate one sample for each label with the student, as ``GeneratorPool.sample`` does."""
        self.check_held(labels_N)
        return self._student.sample(labels_N, seed)

    def student_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the student's weights; none before there is a pool."""
        return dict(self._student.arrays()) if self.held_classes else {}

    def state_dict(self) -> dict[str, Any]:
        """Return the pool and the student, for a checkpoint."""
        return super().state_dict() | {"student": self.student_arrays()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        super().load_state_dict(state)
        if state["student"]:
            self._student.load(state["student"])
