"""The client app: ``flwr_gan.client_app:app``."""

from flwr.app import Context
from flwr.client import Client
from flwr.clientapp import ClientApp

from flwr_gan.app.client import initial_arrays, state_folder
from flwr_gan.app.continual import client_fn
from flwr_gan.app.state import StateMod
from flwr_gan.flower.mods import CompressionMod


def _client_fn(context: Context) -> Client:
    return client_fn(context).to_client()


app = ClientApp(_client_fn, mods=[StateMod(state_folder), CompressionMod(initial=initial_arrays)])
