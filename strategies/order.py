"""Orders that a strategy sends to the clients of a round with the parameters."""

from collections.abc import Mapping, Sequence

from flwr.common import FitIns, Scalar
from flwr.server.client_proxy import ClientProxy


def with_order(
    instructions: Sequence[tuple[ClientProxy, FitIns]], order: Mapping[str, Scalar]
) -> list[tuple[ClientProxy, FitIns]]:
    """Return the instructions with an order added to each client's config."""
    return [
        (client, FitIns(ins.parameters, {**ins.config, **order})) for client, ins in instructions
    ]
