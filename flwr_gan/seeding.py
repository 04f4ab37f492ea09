"""Every seed derives from (run seed, round, partition, purpose), never from call order."""

import hashlib

import numpy as np


def derive_seed(seed: int, purpose: str, *, round: int = 0, partition: int = 0) -> int:  # noqa: A002
    """Return a 63-bit seed that depends only on its four arguments.

    Parameters
    ----------
    seed : int
        Seed of the run.
    purpose : str
        Purpose of the random numbers, such as ``"train"`` or ``"partition"``.
    round : int
        Federated round, 0 before the first.
    partition : int
        Partition of the client, 0 if no client is involved.
    """
    key = f"{seed}/{purpose}/{round}/{partition}".encode()
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1


def numpy_rng(
    seed: int,
    purpose: str,
    *,
    round: int = 0,  # noqa: A002
    partition: int = 0,
) -> np.random.Generator:
    """Return the numpy generator of a derived seed."""
    return np.random.default_rng(derive_seed(seed, purpose, round=round, partition=partition))
