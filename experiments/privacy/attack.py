"""The membership-inference check of the uploads of a run.

n samples of a class, T vectors, C components.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flwr_gan.app.federation import Federation
from flwr_gan.data import Samples
from flwr_gan.gan import torch_threads
from flwr_gan.metrics import attack_generator
from flwr_gan.metrics.membership import ATTACKS
from flwr_gan.seeding import derive_seed, numpy_rng
from flwr_gan.wire import load


def attack_uploads(
    federation: Federation, folder: Path, *, per_class: int
) -> Iterator[dict[str, Any]]:
    """Yield a row an upload: who is attacked, with how many samples, and each attack's AUC.

    Members are the client's samples, outsiders as many of each class from other clients. They come
    from the same training part, so nothing but training tells them apart; the client has never
    seen the others' samples, since a ticket is found alone. A class that no other client has
    enough of gives as many of both as there are.
    """
    names = list(federation.delivered().state_dict())
    for partition in range(len(federation.split)):
        path = folder / "generators" / f"client-{partition:05d}.fgan"
        arrays = dict(zip(names, load(path).values(), strict=False))
        seed = derive_seed(federation.config.seed, "attack", partition=partition)
        members, outsiders = compared(federation, partition)
        labels_N = np.repeat(np.unique(members.y_N), per_class)
        with torch_threads(1):
            generated = Samples(federation.generate(arrays, labels_N, seed), labels_N)
        row: dict[str, Any] = {"client": partition, "members": len(members)}
        for attack in ATTACKS:
            rng = np.random.default_rng(seed)
            found = attack_generator(members, outsiders, generated, attack=attack, rng=rng)
            row |= {attack: found.auc, f"{attack}_low": found.low, f"{attack}_high": found.high}
        yield row


def compared(federation: Federation, partition: int) -> tuple[Samples, Samples]:
    """Return members and outsiders of a client, equally many of each class."""
    own = federation.split[partition]
    everybody = np.concatenate(list(federation.split))
    others = np.setdiff1d(everybody, own)
    y_N = federation.dataset.train.y_N
    rng = numpy_rng(federation.config.seed, "outsiders", partition=partition)
    chosen: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for k in np.unique(y_N[own]):
        sets = [part[y_N[part] == k] for part in (own, others)]
        n = min(map(len, sets))
        for taken, of_class in zip(chosen, sets, strict=True):
            taken.append(rng.choice(of_class, size=n, replace=False))
    members, outsiders = (federation.dataset.train.take(np.concatenate(part)) for part in chosen)
    return members, outsiders
