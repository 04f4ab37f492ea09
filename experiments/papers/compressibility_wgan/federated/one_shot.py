"""One shot: each client uploads one ticket; its bytes and what a classifier learns from the pool.

N samples, T vectors, C components, K clients.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.papers.compressibility_wgan.federated.app_runs import (
    federation_for,
    finish_run,
)
from experiments.papers.compressibility_wgan.federated.plan import (
    PARTITIONS,
    LongerCell,
    Plan,
    PoolCell,
)
from experiments.papers.compressibility_wgan.federated.pools import (
    pool_of,
    recoded,
    reply_bytes,
    saved_uploads,
    upload_rows,
)
from experiments.papers.compressibility_wgan.federated.stored import (
    INT8_SCALE,
    affordable,
    int8_vectors,
    stored_sizes,
)
from flwr_gan.data import Samples
from flwr_gan.errors import OutputError
from flwr_gan.gan import torch_threads
from flwr_gan.metrics.classifier import SmallClassifier
from flwr_gan.seeding import derive_seed, numpy_rng
from flwr_gan.wire import decode_payload
from flwr_gan.wiring import Federation
from strategies import GeneratorPool

LOSSY = "sparse:int8"
ZSTD = "zstd:19"


def run_cell(cell: PoolCell, plan: Plan, folder: Path) -> dict[str, Any]:
    """Train tickets and dense generators of a cell, and measure both.

    Parameters
    ----------
    cell : PoolCell
        Which.
    plan : Plan
        The settings that all cells share.
    folder : Path
        Where the runs of the cell are kept.

    Returns
    -------
    dict
        ``row``: the cell's row of ``one_shot.csv``; ``clients``: a row a client.

    Raises
    ------
    FlwrGanError
        When a run fails.
    """
    shared = settings_of(cell.clients, cell.partition, plan)
    ticket = f"{shared} lottery.rate=0.2 lottery.iterations={plan.prunings} codec=sparse"
    dense = f"{shared} lottery.iterations=0 codec=raw also_codecs=['{ZSTD}']"
    ticket_folder = finish_run(ticket, folder / "ticket")
    dense_folder = finish_run(dense, folder / "dense")
    federation = federation_for(ticket)
    with torch_threads(federation.config.federation.threads):
        return measure(federation, ticket_folder, dense_folder, prunings=plan.prunings)


def run_longer(cell: LongerCell, plan: Plan, folder: Path) -> dict[str, Any]:
    """Train dense generators for longer and measure what their pool teaches.

    Parameters are those of ``run_cell``.

    Returns
    -------
    dict
        ``longer``: the cell's row of ``longer_training.csv``.

    Raises
    ------
    FlwrGanError
        When the run fails.
    """
    settings = longer_settings(cell, plan)
    finish_run(settings, folder / "dense")
    federation = federation_for(settings)
    with torch_threads(federation.config.federation.threads):
        pool = pool_of(federation, saved_uploads(folder / "dense", cell.federation))
        row = {"accuracy_dense_pool": pool_accuracy(federation, pool)}
    return {"longer": row}


def longer_settings(cell: LongerCell, plan: Plan) -> str:
    """Return the overrides of dense generators that are trained for longer."""
    shared = settings_of(cell.federation, cell.partition, plan)
    return f"{shared} lottery.iterations=0 gan.iterations={cell.iterations}"


def settings_of(clients: int, partition: str, plan: Plan) -> str:
    """Return the overrides that tickets and dense generators of a cell have in common."""
    return (
        f"experiment=one_shot evaluation=none {plan.one_shot} {PARTITIONS[partition]} "
        f"federation.num_clients={clients}"
    )


def measure(
    federation: Federation, ticket_folder: Path, dense_folder: Path, *, prunings: int
) -> dict[str, Any]:
    """Return what ``run_cell`` returns, from the files of its two finished runs."""
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
    return {"row": row, "clients": clients}


def client_rows(
    federation: Federation,
    ticket_folder: Path,
    dense_folder: Path,
    tickets: list[bytes],
    lossy: list[bytes],
) -> list[dict[str, Any]]:
    """Return, for each client, its bytes in every form and what its own data alone teach.

    Raises
    ------
    OutputError
        When a reply that is built again does not weigh what was measured in the run.
    """
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
    """Return the accuracy on real test data of a classifier that saw the pool's samples alone.

    As many samples as there are real training data, with their labels.
    """
    seed = federation.config.seed
    labels_N = numpy_rng(seed, "pool-labels").permutation(federation.dataset.train.y_N)
    x_NTC = pool.sample(labels_N, derive_seed(seed, "pool-samples"))
    return _accuracy(federation, Samples(x_NTC, labels_N), "pool")


def real_accuracies(federation: Federation) -> dict[str, float]:
    """Return the accuracy with all real training data, as they are and in steps of 1/127."""
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
