"""What several test folders need: a federation that trains in a moment."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Before anything imports torch: a process that has computed with several OpenMP threads cannot be
# forked safely, and tests fork workers in the middle of whatever ran before.
os.environ["OMP_NUM_THREADS"] = "1"

from flwr_gan.client_app import app as client_app
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import prepare_run_config

TINY = (
    "partition=iid federation.num_clients=2 gan.local_iterations=1 gan.iterations=1 "
    "gan.channels=[8,8] gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 "
    "lottery.iterations=1 lottery.min_kept_per_layer=8 samples_per_class=20"
)

Simulate = Callable[..., Path]


@pytest.fixture
def tiny() -> str:
    """Return overrides of a federation that trains in a moment; its samples are noise."""
    return TINY


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Return a function that runs the app with overrides and returns the output folder."""

    def run(
        overrides: str = "evaluation=none", *, folder: str = "run", backend: str = "inline"
    ) -> Path:
        text = f"{TINY} strategy.rounds_per_level=1 {overrides} output_dir={tmp_path / folder}"
        others = ("strategy=", "experiment=one_shot", "experiment=paper", "experiment=continual")
        if any(text in overrides for text in others):
            text = text.replace("strategy.rounds_per_level=1 ", "")
        run_config, nodes = prepare_run_config(text, None)
        run_apps(
            server_app, client_app, num_supernodes=nodes, run_config=run_config, backend=backend
        )
        return tmp_path / folder

    return run


@pytest.fixture(autouse=True)
def _quiet_flower():
    logging.getLogger("flwr").setLevel(logging.ERROR)
    # What a test before has set, such as the command's own log, is taken back.
    logging.disable(logging.NOTSET)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in ("flwr_gan", "strategies"):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
