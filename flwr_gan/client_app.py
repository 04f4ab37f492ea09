"""The client app: ``flwr_gan.client_app:app``.

On a real node Flower starts a process for each message, so modules are imported only when needed:
torch is imported for the first training.
"""

from flwr.app import Context
from flwr.client import Client
from flwr.clientapp import ClientApp

from flwr_gan.app.nodes import answer_mod
from flwr_gan.app.state import state_mod
from flwr_gan.flower.mods import CompressionMod
from flwr_gan.flower.records import Arrays


def _client_fn(context: Context) -> Client:
    from flwr_gan.app.federation import federation_from

    return federation_from(context).client(context).to_client()


def _initial_arrays(context: Context) -> Arrays:
    from flwr_gan.app.client import initial_arrays

    return initial_arrays(context)


app = ClientApp(
    _client_fn,
    mods=[answer_mod, state_mod, CompressionMod(initial=_initial_arrays)],
)
