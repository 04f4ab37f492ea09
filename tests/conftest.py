"""What several test folders need: a federation that trains in a moment."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

# Before anything imports torch: a process that has computed with several OpenMP threads cannot be
# forked safely, and tests fork workers in the middle of whatever ran before.
os.environ["OMP_NUM_THREADS"] = "1"

from flwr_gan.app import scoring
from flwr_gan.app.generator_file import GeneratorInfo
from flwr_gan.client_app import app as client_app
from flwr_gan.data.strokes import CHARACTERS
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.gan import Generator, network_arrays
from flwr_gan.metrics import classifier
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import prepare_run_config
from flwr_gan.wire import save

TINY = (
    "partition=iid federation.num_clients=2 gan.local_iterations=1 gan.iterations=1 "
    "gan.channels=[8,8] gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 "
    "lottery.iterations=1 lottery.min_kept_per_layer=8 samples_per_class=20"
)

# Beside TINY, and gan=wdcgan, sngan or dcgan: images in colour.
IMAGES = (
    "data=textures data.patches=16 data.size=8 gan.depth=1 gan.batch_size=4 samples_per_class=8 "
    "lottery.min_kept_per_layer=1"
)

Simulate = Callable[..., Path]


@contextmanager
def quick_judges() -> Iterator[None]:
    """Let the classifiers of judges learn for two epochs: for tests that ask for no quality."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "EPOCHS", (1, 2))
        scoring._judge.cache_clear()
        yield
    scoring._judge.cache_clear()


@pytest.fixture
def quick_judge() -> Iterator[None]:
    """Let judges learn for two epochs in this test."""
    with quick_judges():
        yield


@pytest.fixture
def tiny() -> str:
    """Return overrides of a federation that trains in a moment; its samples are noise."""
    return TINY


@contextmanager
def blank_pictures() -> Iterator[None]:
    """Write one white pixel for each picture: drawing takes half of the time of a short run."""

    def blank(figure: Figure, path: Path, **settings: object) -> None:
        Image.new("RGB", (1, 1), "white").save(path, "PNG")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", blank)
        yield


@pytest.fixture
def without_pictures() -> Iterator[None]:
    """Write one white pixel for each picture in this test."""
    with blank_pictures():
        yield


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Return a function that runs the app with overrides and returns the output folder.

    Its pictures are blank unless a test asks for them.
    """

    def run(
        overrides: str = "evaluation=none",
        *,
        folder: str = "run",
        backend: str = "inline",
        pictures: bool = False,
    ) -> Path:
        text = f"{TINY} strategy.rounds_per_level=1 {overrides} output_dir={tmp_path / folder}"
        others = (
            "strategy=",
            "experiment=one_shot",
            "experiment=paper",
            "experiment=continual",
            "experiment=textures",
            "experiment=classifier",
        )
        if any(text in overrides for text in others):
            text = text.replace("strategy.rounds_per_level=1 ", "")
        run_config, nodes = prepare_run_config(text, None)
        with nullcontext() if pictures else blank_pictures():
            run_apps(
                server_app, client_app, num_supernodes=nodes, run_config=run_config, backend=backend
            )
        return tmp_path / folder

    return run


@pytest.fixture
def seeded_run(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes what a run leaves of an untrained generator."""

    def make(
        name: str = "run", *, seed: int = 0, data: str = "digits", latent_dim: int = 6
    ) -> Path:
        digits = data == "digits"
        vectors, components = (8, 8) if digits else (10, 3)
        classes = tuple("0123456789") if digits else CHARACTERS
        channels = {"latent_dim": latent_dim, "channels": (8, 4)}
        generator = Generator(vectors, components, len(classes), **channels, seed=seed)
        folder = tmp_path / name / "generators"
        folder.mkdir(parents=True)
        save(folder / "global.fgan", network_arrays(generator))
        kind = "image" if digits else "strokes"
        names = tuple(network_arrays(generator))
        info = GeneratorInfo(latent_dim=latent_dim, classes=classes, kind=kind, arrays=names)
        info.write(folder)
        return folder.parent

    return make


@pytest.fixture(autouse=True)
def _quiet_flower():
    logging.getLogger("flwr").setLevel(logging.ERROR)
    # What a test before has set, such as the command's own log, is taken back.
    logging.disable(logging.NOTSET)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in ("flwr_gan", "strategies"):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)
