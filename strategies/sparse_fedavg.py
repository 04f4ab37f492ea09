"""Federated averaging of only the surviving weights, for clients that share the mask."""

from flwr.server.strategy import FedAvg

from flwr_gan.flower import CodedReplies


class SparseFedAvg(FedAvg, CodedReplies):
    """FedAvg of finite replies that sums only surviving values if all have the broadcast's mask.

    The result equals FedAvg bit for bit: weights pruned everywhere are zero in the average too, and
    the others use FedAvg's own arithmetic. ``CompressedStrategy`` decodes each reply once, when it
    is checked, and sums it then. If a reply is refused or has another mask, as when a weight became
    exactly zero, the round is averaged again by FedAvg. Use it with the codec ``sparse`` and any
    stage of single weights before it.
    """

    def __repr__(self) -> str:
        """Return the name and Flower's settings."""
        return f"Sparse{super().__repr__()}"
