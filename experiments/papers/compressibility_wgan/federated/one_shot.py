"""One shot: each client uploads one ticket; bytes, and accuracy of a classifier on the pool.

N samples, T vectors, C components, K clients.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.papers.compressibility_wgan.federated.plan import PARTITIONS, Plan
from experiments.papers.compressibility_wgan.federated.stored import (
    INT8_SCALE,
    affordable,
    int8_vectors,
    pool_of,
    recoded,
    reply_bytes,
    saved_uploads,
    stored_sizes,
    upload_rows,
)
from experiments.study.app_runs import finish_run
from experiments.study.cases import StudyCase
from flwr_gan.app.federation import Federation, load_federation
from flwr_gan.app.overrides import split_overrides
from flwr_gan.data import Samples
from flwr_gan.errors import OutputError
from flwr_gan.metrics.classifier import SmallClassifier
from flwr_gan.seeding import derive_seed, numpy_rng
from flwr_gan.wire import decode_payload
from strategies import GeneratorPool

LOSSY = "sparse:int8"
ZSTD = "zstd:19"


@dataclass(frozen=True)
class PoolCase(StudyCase):
    """One shot: a number of clients and a partition."""

    columns = ("clients", "partition", "seed")
    title = "one_shot-{clients}-{partition}"

    plan: Plan  # the settings that all cases share
    clients: int  # K
    partition: str  # a key of ``PARTITIONS``
    seed: int = 0  # of the app

    @property
    def settings(self) -> Mapping[str, Any]:
        """The overrides of both runs: all that the result depends on."""
        prunings = f"lottery.rate=0.2 lottery.iterations={self.plan.prunings}"
        return {
            "ticket": f"{self.shared} {prunings} codec=sparse",
            "dense": f"{self.shared} lottery.iterations=0 codec=raw also_codecs=['{ZSTD}']",
        }

    @property
    def shared(self) -> str:
        """The overrides that tickets and dense generators share."""
        return (
            f"experiment=one_shot evaluation=none {self.plan.one_shot} "
            f"{PARTITIONS[self.partition]} federation.num_clients={self.clients}"
        )

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return 20.0 * self.clients

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train tickets and dense generators; return a row, and ``clients``: one row per client."""
        ticket, dense = (
            finish_run(split_overrides(overrides), folder / name)
            for name, overrides in self.settings.items()
        )
        federation = load_federation(self.settings["ticket"])
        return measure_pools(federation, ticket, dense, prunings=self.plan.prunings)


@dataclass(frozen=True)
class LongerCase(PoolCase):
    """One shot with only dense generators, trained for longer."""

    title = "longer-{clients}-{partition}-{iterations}"

    iterations: int = 0  # generator iterations of the training

    @property
    def place(self) -> Mapping[str, Any]:
        """The case as columns."""
        names = {"federation": self.clients, "partition": self.partition}
        return names | {"iterations": self.iterations, "seed": self.seed}

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        return {"dense": f"{self.shared} lottery.iterations=0 gan.iterations={self.iterations}"}

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return self.iterations / 40

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train dense generators; return the accuracy of a classifier trained on their pool."""
        finish_run(split_overrides(self.settings["dense"]), folder / "dense")
        federation = load_federation(self.settings["dense"])
        pool = pool_of(federation, saved_uploads(folder / "dense", self.clients))
        return {"accuracy_dense_pool": pool_accuracy(federation, pool)}


def measure_pools(
    federation: Federation, ticket_folder: Path, dense_folder: Path, *, prunings: int
) -> dict[str, Any]:
    """Return the measures of a case, from the files of its two finished runs."""
    count = len(federation.split)
    tickets, dense = (saved_uploads(place, count) for place in (ticket_folder, dense_folder))
    lossy = recoded(tickets, LOSSY)
    clients = client_rows(federation, ticket_folder, dense_folder, tickets, lossy)
    table = pd.DataFrame(clients)
    seed = federation.config.seed
    pools = {
        "ticket_pool": pool_of(federation, tickets),
        "int8_pool": pool_of(federation, lossy),
        "dense_pool": pool_of(federation, dense),
    }
    row: dict[str, Any] = {
        "samples": len(federation.dataset.train),
        "prunings": prunings,
        "parameters": int(table.parameters[0]),
        "sparsity": float(table.sparsity.mean()),
    }
    totals = [key for key in table if str(key).endswith("_bytes")]
    row |= {str(key): int(table[key].sum()) for key in totals}
    row |= {f"{name}_bytes": sum(map(len, pool.payloads)) for name, pool in pools.items()}
    for codec, held in (("ticket", "ticket_payload_bytes"), ("int8", "ticket_int8_payload_bytes")):
        for form in ("float32_zstd", "int8_zstd"):
            smaller = table[held] < table[f"data_{form}_bytes"]
            row[f"clients_{codec}_below_{form}"] = int(smaller.sum())
    for name, pool in pools.items():
        row[f"accuracy_{name}"] = pool_accuracy(federation, pool)
    row |= real_accuracies(federation)
    chosen = [
        affordable(
            federation.samples_of(client), size, numpy_rng(seed, "equal-cost", partition=client)
        )
        for client, size in enumerate(table.ticket_int8_payload_bytes)
    ]
    bought = Samples(
        np.concatenate([part.x_NTC for part in chosen]), np.concatenate([p.y_N for p in chosen])
    )
    row["samples_equal_cost"] = len(bought)
    row["accuracy_equal_cost"] = _accuracy(federation, bought, "equal-cost")
    for name in ("mean", "min", "max"):
        row[f"accuracy_client_{name}"] = float(getattr(table.accuracy, name)())
    return row | {"clients": clients}


def client_rows(
    federation: Federation,
    ticket_folder: Path,
    dense_folder: Path,
    tickets: list[bytes],
    lossy: list[bytes],
) -> list[dict[str, Any]]:
    """Return, for each client, its bytes in every form and the accuracy with only its own data."""
    sent = upload_rows(ticket_folder)
    dense_sent = upload_rows(dense_folder)
    packed = upload_rows(dense_folder / "also" / ZSTD.replace(":", "."))
    rows = []
    for client, sizes in enumerate(stored_sizes(federation)):
        samples = federation.samples_of(client)
        again = reply_bytes(tickets[client], client=client, samples=len(samples))
        measured = int(sent.message_bytes[client])
        if again != measured or len(tickets[client]) != sent.payload_bytes[client]:
            raise OutputError(
                f"client {client}: a reply of {measured} bytes weighs {again} when built again"
            )
        weights = list(decode_payload(tickets[client]).values())[:-1]
        parameters = sum(array.size for array in weights)
        kept = sum(int(np.count_nonzero(array)) for array in weights)
        rows.append(
            {
                "client": client,
                "samples": len(samples),
                "classes": len(np.unique(samples.y_N)),
                "parameters": parameters,
                "sparsity": 1 - kept / parameters,
                "ticket_payload_bytes": len(tickets[client]),
                "ticket_message_bytes": measured,
                "ticket_int8_payload_bytes": len(lossy[client]),
                "ticket_int8_message_bytes": reply_bytes(
                    lossy[client], client=client, samples=len(samples)
                ),
                "dense_float32_payload_bytes": int(dense_sent.payload_bytes[client]),
                "dense_float32_message_bytes": int(dense_sent.message_bytes[client]),
                "dense_zstd_payload_bytes": int(packed.payload_bytes[client]),
                "dense_zstd_message_bytes": int(packed.message_bytes[client]),
                **sizes,
                "accuracy": _accuracy(federation, samples, f"client-{client}"),
            }
        )
    return rows


def pool_accuracy(federation: Federation, pool: GeneratorPool) -> float:
    """Return the test accuracy of a classifier trained on as many pool samples as real ones."""
    seed = federation.config.seed
    labels_N = numpy_rng(seed, "pool-labels").permutation(federation.dataset.train.y_N)
    x_NTC = pool.sample(labels_N, derive_seed(seed, "pool-samples"))
    return _accuracy(federation, Samples(x_NTC, labels_N), "pool")


def real_accuracies(federation: Federation) -> dict[str, float]:
    """Return the accuracy with all real training data, unchanged and in steps of 1/127."""
    train = federation.dataset.train
    rounded = (int8_vectors(train.x_NTC) / np.float32(INT8_SCALE)).astype(np.float32)
    return {
        "accuracy_all_real": _accuracy(federation, train, "real"),
        "accuracy_all_real_int8": _accuracy(federation, Samples(rounded, train.y_N), "real"),
    }


def _accuracy(federation: Federation, samples: Samples, purpose: str) -> float:
    data = federation.dataset
    classifier = SmallClassifier(
        samples.x_NTC,
        samples.y_N,
        num_classes=data.num_classes,
        seed=derive_seed(federation.config.seed, f"classifier-{purpose}"),
    )
    return classifier.accuracy(data.test.x_NTC, data.test.y_N)
