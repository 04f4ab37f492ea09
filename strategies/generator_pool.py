"""One-shot pool: each client uploads one ticket, and the server samples from all (paper 000)."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from flwr.common import FitIns, Parameters, Scalar, ndarrays_to_parameters
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import FedAvg
from numpy.typing import NDArray

from flwr_gan.errors import ConfigError
from flwr_gan.flower import CodedFitRes, CodedReplies, ReplyRules
from flwr_gan.flower.averaging import Averaged, Failures, Results
from flwr_gan.wire import Template, decode_payload
from strategies.order import with_order

Generate = Callable[[Mapping[str, NDArray[Any]], NDArray[np.int64], int], NDArray[np.float32]]


class GeneratorPool(FedAvg, CodedReplies):
    """Keep the clients' generators as coded payloads and draw samples from them on the fly.

    The broadcast is only a short order; a reply is a ticket and the client's number of samples per
    class. A label is drawn only from clients that hold it, in proportion to their counts. One
    decoded generator is in memory at a time.

    Parameters
    ----------
    template : Template
        Names, shapes and dtypes of a generator's arrays.
    num_classes : int
        K, length of the class counts at the end of every upload.
    generate : callable
        ``generate(arrays, labels_N, seed) -> x_NTC``: samples of one generator.
    **fedavg
        Settings of ``flwr.server.strategy.FedAvg`` that choose clients.
    """

    num_rounds = 1

    def __init__(
        self, *, template: Template, num_classes: int, generate: Generate, **fedavg: Any
    ) -> None:
        super().__init__(**fedavg)
        self._names = template.names
        uploaded = [np.zeros(spec.shape, spec.dtype) for spec in template.specs]
        uploaded.append(np.zeros(num_classes, dtype=np.int32))  # the class counts
        self._upload = Template.of({str(i): array for i, array in enumerate(uploaded)})
        self._num_classes = num_classes
        self._generate = generate
        self.payloads: list[bytes] = []
        self._counts_PK = np.zeros((0, num_classes), dtype=np.int64)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.payloads)} generators)"

    def reply_rules(self) -> ReplyRules:
        """Return the rules for uploads: the generator's arrays, then the class counts."""
        return ReplyRules(template=self._upload, finite=True)

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters:
        """Return no parameters: each client starts from its own initial weights."""
        return ndarrays_to_parameters([])

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Order a ticket from each sampled client."""
        instructions = super().configure_fit(server_round, parameters, client_manager)
        order: dict[str, Scalar] = {"round": server_round, "task": "ticket"}
        return with_order(instructions, order)

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Add the payloads to the pool; there is nothing to average."""
        rows = list(self._counts_PK)
        for _, result in results:
            if not isinstance(result, CodedFitRes):
                raise TypeError("GeneratorPool keeps payloads: wrap it in CompressedStrategy")
            *_, counts = result.arrays().values()
            self.payloads.append(result.payload)
            rows.append(np.maximum(counts.astype(np.int64), 0))
        if rows:
            self._counts_PK = np.stack(rows)
        return None, {}

    def sample(self, labels_N: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        """Generate one sample for each label, from clients that hold that class.

        Parameters
        ----------
        labels_N : ndarray of int64
            Requested classes; each must be held by a client of the pool.
        seed : int
            Seed of the choice of clients and of the latent vectors.

        Returns
        -------
        ndarray of float32, shape (N, T, C)

        Raises
        ------
        ConfigError
            When the pool is empty or no client holds a requested class.
        """
        self.check_held(labels_N)
        rng = np.random.default_rng(seed)
        share_PK = self._counts_PK / np.maximum(self._counts_PK.sum(axis=0), 1)
        owner_N = np.array(
            [rng.choice(len(self.payloads), p=share_PK[:, k]) for k in labels_N], dtype=np.int64
        )
        return samples_of(owner_N, labels_N, seed, load=self.generator, generate=self._generate)

    def check_held(self, labels_N: NDArray[np.int64]) -> None:
        """Raise a ConfigError when the pool is empty or no client holds a requested class."""
        if not self.payloads:
            raise ConfigError("the pool is empty: no client has delivered a generator")
        absent = sorted({int(k) for k in labels_N if not self._counts_PK[:, k].any()})
        if absent:
            raise ConfigError(f"no client of the pool holds class {absent[0]}: ask for others")

    @property
    def held_classes(self) -> list[int]:
        """Classes that the pool can generate."""
        return [int(k) for k in np.flatnonzero(self._counts_PK.any(axis=0))]

    def generator(self, index: int) -> dict[str, NDArray[Any]]:
        """Return the decoded arrays of one generator of the pool."""
        arrays = decode_payload(self.payloads[index], template=self._upload)
        return dict(zip(self._names, arrays.values(), strict=False))

    def state_dict(self) -> dict[str, Any]:
        """Return the pool, for a checkpoint."""
        return {"counts": self._counts_PK, "payloads": self.payloads}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self._counts_PK = state["counts"].astype(np.int64)
        self.payloads = list(state["payloads"])


def samples_of(
    owner_N: NDArray[np.int64],
    labels_N: NDArray[np.int64],
    seed: int,
    *,
    load: Callable[[int], Mapping[str, NDArray[Any]]],
    generate: Generate,
) -> NDArray[np.float32]:
    """Return a sample for each label from the generator of its owner, one in memory at a time."""
    if not len(labels_N):
        raise ConfigError("the pool was asked for no sample: give at least one label")
    places = {int(owner): np.flatnonzero(owner_N == owner) for owner in np.unique(owner_N)}
    parts = [generate(load(o), labels_N[place], seed + o) for o, place in places.items()]
    drawn = np.concatenate(parts)
    samples = np.empty_like(drawn)
    samples[np.concatenate(list(places.values()))] = drawn
    return samples
