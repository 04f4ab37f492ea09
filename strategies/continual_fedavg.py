"""Continual learning: clients upload when their generator has changed (send on delta)."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from flwr.common import (
    FitIns,
    FitRes,
    Parameters,
    Scalar,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from numpy.typing import NDArray

from flwr_gan.app.continual import UploadRule
from flwr_gan.core.settings import Within, checked
from flwr_gan.errors import ConfigError
from flwr_gan.flower import CodedFitRes, ReplyRules
from flwr_gan.flower.averaging import Averaged, Failures, Results
from flwr_gan.wire import decode_payload, encode_payload
from strategies.generator_pool import Generate, samples_of
from strategies.masked_fedavg import MaskedFedAvg, masked_mean
from strategies.order import with_order


class ContinualFedAvg(MaskedFedAvg):
    """Average the clients' uploads; a client that replies "unchanged" counts as the broadcast.

    The global generator is the masked mean of the uploads and, for each unchanged client, of the
    broadcast. The changes of such a client stay with it and are added to the next broadcast that it
    receives, so nothing is lost. The server also keeps a pool: the last upload of each client and
    the classes that it has seen.

    Parameters
    ----------
    names : sequence of str
        Names of a generator's arrays.
    num_classes : int
        K; a client cannot have seen other classes.
    generate : callable
        ``generate(arrays, labels_N, seed) -> x_NTC``: samples of one generator.
    threshold : float
        A client uploads when its samples for fixed latents differ by this much (root mean square,
        in units of the data) from those of the broadcast; 0: always.
    every : int
        A client uploads after at most this many rounds.
    replay : float
        Share of a client's training samples drawn from its own earlier generator, once there is
        one; 0: no replay.
    **masked
        Settings of ``MaskedFedAvg``.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """

    def __init__(
        self,
        *,
        names: list[str],
        num_classes: int,
        generate: Generate,
        threshold: float = 0.3,
        every: int = 6,
        replay: float = 0.5,
        **masked: Any,
    ) -> None:
        super().__init__(**masked)
        self.rule = UploadRule(threshold=threshold, every=every)
        inside = Annotated[float, Within(at_least=0, below=1)]
        self.replay: float = checked("strategy.replay", replay, inside)
        self.round_measures: dict[str, float] = {}
        self._names = list(names)
        self._num_classes = num_classes
        self._generate = generate
        self._broadcast: Parameters | None = None
        self._payloads: dict[int, bytes] = {}
        self._classes: dict[int, tuple[int, ...]] = {}

    def reply_rules(self) -> ReplyRules:
        """Return rules that allow empty replies."""
        return ReplyRules(may_be_empty=True, finite=True)

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Send the global generator, the upload rule and the share of replay."""
        self._broadcast = parameters
        order: dict[str, Scalar] = {
            "round": server_round,
            "threshold": float(self.rule.threshold),
            "every": self.rule.every,
            "replay": self.replay,
        }
        instructions = super().configure_fit(server_round, parameters, client_manager)
        return with_order(instructions, order)

    def aggregate_fit(self, server_round: int, results: Results, failures: Failures) -> Averaged:
        """Update the pool and average; without uploads the global generator is unchanged."""
        uploads = [r for _, r in results if not r.metrics.get("unchanged", False)]
        silent = sum(r.num_examples for _, r in results if r.metrics.get("unchanged", False))
        weighted = [(self._keep(upload), upload.num_examples) for upload in uploads]
        moved = [float(r.metrics["moved"]) for _, r in results if "moved" in r.metrics]
        self.round_measures = {
            "moved": float(np.mean(moved)) if moved else float("nan"),
            "unchanged": len(results) - len(uploads),
            "pool": len(self._payloads),
        }
        broken = not self.accept_failures and failures
        if not uploads or broken or self._broadcast is None:
            return self._broadcast, {}
        before = parameters_to_ndarrays(self._broadcast)
        if silent:
            weighted.append((before, silent))
        return ndarrays_to_parameters(masked_mean(iter(weighted), quorum=self.quorum)), {}

    def draw_from_pool(self, labels_N: NDArray[np.int64], seed: int) -> NDArray[np.float32]:
        """Generate one sample for each label, from generators whose clients have seen the class.

        Raises
        ------
        ConfigError
            When no client of the pool has seen a requested class.
        """
        rng = np.random.default_rng(seed)
        owner_N = np.zeros(len(labels_N), np.int64)
        for label in np.unique(labels_N):
            owners = [client for client, known in sorted(self._classes.items()) if label in known]
            if not owners:
                raise ConfigError(f"no client of the pool has seen class {label}: ask for others")
            place = np.flatnonzero(labels_N == label)
            owner_N[place] = rng.choice(owners, len(place))
        return samples_of(
            owner_N,
            labels_N,
            seed,
            load=lambda owner: decode_payload(self._payloads[owner]),
            generate=self._generate,
        )

    @property
    def known_classes(self) -> list[int]:
        """Classes that some generator of the pool has seen."""
        return sorted({label for known in self._classes.values() for label in known})

    def state_dict(self) -> dict[str, Any]:
        """Return the pool, for a checkpoint: each client's payload and classes."""
        return {str(c): [self._payloads[c], self._classes[c]] for c in self._payloads}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state from ``state_dict``."""
        self._payloads = {int(client): payload for client, (payload, _) in state.items()}
        self._classes = {int(client): tuple(classes) for client, (_, classes) in state.items()}

    def _keep(self, upload: FitRes) -> list[NDArray[np.float32]]:
        """Put an upload into the pool and return its arrays, decoded once."""
        if not isinstance(upload, CodedFitRes):
            raise TypeError("ContinualFedAvg keeps uploads: wrap it in CompressedStrategy")
        arrays = dict(zip(self._names, upload.arrays().values(), strict=True))
        # Coded again, because the upload's base is a broadcast that will be dropped.
        client = int(upload.label)
        self._payloads[client] = encode_payload(arrays)
        words = str(upload.metrics.get("classes", "")).split(",")
        labels = (int(word) for word in words if word.isascii() and word.isdecimal())
        known = tuple(label for label in labels if label < self._num_classes)
        self._classes[client] = known
        return list(arrays.values())
