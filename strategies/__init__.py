"""Flower strategies that others copy and extend.

Each sees plain arrays; wrapped in ``flwr_gan.flower.CompressedStrategy`` its parameters travel as
coded payloads.
"""

from strategies.federated_ticket import FederatedTicket
from strategies.generator_pool import GeneratorPool

__all__ = ["FederatedTicket", "GeneratorPool"]
