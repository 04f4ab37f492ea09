"""A server app that ends with an error where no reply of a client was ever accepted."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from flwr_gan.errors import TrainingError
from flwr_gan.flower.bookkeeping import Outcome, current_outcome


class WatchedServerApp(ServerApp):
    """Run a server app, and see whether anything came of what it sent over the wire."""

    def __init__(self, app: ServerApp) -> None:
        super().__init__()
        self._app = app

    def __call__(self, grid: Grid, context: Context) -> None:
        """Execute the app.

        Raises ``TrainingError`` when clients were asked to train over the wire and no reply was
        ever accepted.
        """
        outcome = Outcome()
        token = current_outcome.set(outcome)
        try:
            self._app(grid, context)
        finally:
            current_outcome.reset(token)
        if outcome.refusal is not None:
            raise TrainingError(f"no reply of a client was ever accepted: {outcome.refusal}")
