"""PowerSGD: the change of a layer as the product of two factors, by one step of power iteration.

M the change, unfolded to m rows (first axis) and n columns (all others); r the rank.
"""

import numpy as np

from flwr_gan.errors import PayloadError
from flwr_gan.wire.codecs.arrays import Array
from flwr_gan.wire.codecs.settings import Whole
from flwr_gan.wire.codecs.varint import write_varint
from flwr_gan.wire.stages.change_stage import ChangeStage
from flwr_gan.wire.stages.draws import drawn
from flwr_gan.wire.stages.lowrank import MOST_RANK, product, unfolded


class PowerSgdStage(ChangeStage):
    """``M = P Q`` with P of m x r and Q of r x n numbers. Lossy; takes a base.

    ``P = orth(M Q0)`` and ``Q = P^T M``, where Q0 is Q of the previous update, or drawn. The sender
    keeps Q, and both are sent in one exchange. The residual is a projection of M, so its norm is
    never above that of M. Each column of P has the same largest magnitude as its row of Q, so that
    a later stage codes both equally well with one scale. A layer of fewer than two axes, or whose
    factors would have at least as many numbers as it has survivors, is sent as it is. Vogels,
    Karimireddy and Jaggi, "PowerSGD", 2019, Algorithm 1, with warm start.
    """

    name = "powersgd"
    wire_id = 15

    settings = (Whole("rank", 1, MOST_RANK),)
    allowed = f"allowed: powersgd:R with R from 1 to {MOST_RANK}, such as powersgd:4"
    rank: int

    def coded(self, change: Array, near: Array, at: int = 0) -> tuple[bytes, Array] | None:
        """Return r, and the numbers of both factors, shape (r (m + n),)."""
        rows, columns = unfolded(change.shape)
        rank = min(self.rank, rows, columns)
        if change.ndim < 2 or rank * (rows + columns) >= np.count_nonzero(near):
            return None
        matrix = change.reshape(rows, columns).astype(np.float64)
        begun = self.memory.get(str(at))
        if begun is None or begun.shape != (rank, columns) or not np.isfinite(begun).all():
            begun = (drawn(rank * columns, at) * 2.0**-63 - 1).reshape(rank, columns)
        left = np.linalg.qr(matrix @ begun.T.astype(np.float64))[0].T
        right = left @ matrix
        lefts, rights = (np.abs(part).max(axis=1, keepdims=True) for part in (left, right))
        self.remembered[str(at)] = np.where(rights > 0, right, begun).astype(np.float32)
        roots = np.sqrt(np.where(rights > 0, rights / lefts, 1))
        factors = [(left * roots).reshape(-1), (right / roots).reshape(-1)]
        return write_varint(rank), np.concatenate(factors).astype(np.float32)

    def decoded(self, known: bytes, part: Array, near: Array) -> Array:
        """Return the product of the factors."""
        rows, columns = unfolded(near.shape)
        rank = min(self.rank, rows, columns)
        if known != write_varint(rank) or len(part) != rank * (rows + columns):
            raise PayloadError(f"{self.spec}: the factors do not fit an array of {near.shape}")
        left, right = np.split(part, [rank * rows])
        return product(left.reshape(rank, rows), right.reshape(rank, columns)).reshape(near.shape)
