"""Flower strategies to copy and extend.

Each sees plain arrays; wrapped in ``flwr_gan.flower.CompressedStrategy`` its parameters are sent as
coded payloads.
"""

from strategies.continual_fedavg import ContinualFedAvg
from strategies.distilled_pool import DistilledPool
from strategies.fedasync import FedAsync
from strategies.fedbuff import FedBuff
from strategies.federated_ticket import FederatedTicket
from strategies.generator_pool import GeneratorPool
from strategies.masked_fedavg import MaskedFedAvg
from strategies.sparse_fedavg import SparseFedAvg

__all__ = [
    "ContinualFedAvg",
    "DistilledPool",
    "FedAsync",
    "FedBuff",
    "FederatedTicket",
    "GeneratorPool",
    "MaskedFedAvg",
    "SparseFedAvg",
]
