"""Real files where they are, a skip with the reason where they are not."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from flwr_gan.data import Dataset
from flwr_gan.errors import DataError

Load = Callable[..., Dataset]


@pytest.fixture(scope="module")
def load_or_skip() -> Load:
    """Return a function that calls a loader without network and skips when files are absent."""

    @cache
    def load(loader: Load, **settings: object) -> Dataset:
        try:
            return loader(download=False, **settings)
        except DataError as error:
            if "not found in" in str(error):
                pytest.skip(str(error).split(" in ")[0])
            raise

    return load


@pytest.fixture
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with empty data and cache folders; return it."""
    (tmp_path / "shared").mkdir()
    monkeypatch.setenv("FLWR_GAN_DATA", str(tmp_path / "shared"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
