"""A server that ends at any moment, and nodes that share no folder with it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from flwr.app import Message

from experiments.deployment.equal import compared
from flwr_gan.app import run as run_module
from flwr_gan.app.checkpoint import Checkpoint
from flwr_gan.errors import OutputError
from tests.conftest import TINY
from tests.deployment.loose_grid import LooseGrid

ROUNDS = 3


class Killed(BaseException):
    """What stands for SIGKILL: nobody catches it."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "killed"


@pytest.fixture
def grid(tmp_path: Path) -> Callable[[str], LooseGrid]:
    """Return a function that makes a grid of two new nodes, whose states stay on disk."""

    def make(overrides: str) -> LooseGrid:
        return LooseGrid(
            overrides,
            {
                node: {"partition-id": at, "state-dir": str(tmp_path / f"node{at}")}
                for at, node in enumerate((10, 11))
            },
        )

    return make


def settings(folder: Path) -> str:
    return (
        f"{TINY} strategy=fedavg codec=sparse:int8 evaluation=none federation.rounds={ROUNDS} "
        f"output_dir={folder}"
    )


@pytest.fixture
def count_down(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[int]]:
    """Count what a server does to files and nodes; it is killed when the count is at 0."""
    left = [-1]

    def watched(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def act(*arguments: Any, **given: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed(name)
            return do(*arguments, **given)

        return act

    monkeypatch.setattr(run_module, "write_text", watched("table", run_module.write_text))
    monkeypatch.setattr(run_module, "save", watched("generator", run_module.save))
    monkeypatch.setattr(run_module, "write_summary", watched("summary", run_module.write_summary))
    monkeypatch.setattr(Checkpoint, "write", watched("checkpoint", Checkpoint.write))
    monkeypatch.setattr(LooseGrid, "_push", watched("message", LooseGrid._push))
    return lambda: left


@pytest.mark.long
def test_a_server_that_is_killed_again_and_again(grid, folder, tmp_path, count_down):
    """Each time after a few more steps: no finished round is lost, and the end is bit-equal."""
    left = count_down()
    grid(settings(tmp_path / "whole")).serve()
    steps = -left[0] - 1
    deaths: list[str] = []
    finished = 0
    for least in range(2, steps):
        resumes = (folder / "config.yaml").exists()
        left[0] = least
        try:
            grid(f"resume={folder}" if resumes else settings(folder)).serve()
            break
        except Killed as death:
            deaths.append(str(death))
        path = folder / "checkpoint" / "server.npz"
        kept = len(Checkpoint.read(folder).rounds) if path.exists() else 0
        assert kept >= finished, "a finished round was lost"
        finished = kept
    left[0] = -1
    assert len(deaths) >= 10
    assert {"message", "table", "checkpoint"} <= set(deaths)
    table = compared(folder, tmp_path / "whole")
    assert table["different"].sum() == 0, table
    replies = pd.read_csv(folder / "messages.csv").query("direction == 'up' and kind == 'train'")
    assert replies.groupby("round").size().tolist() == [2] * ROUNDS


@pytest.mark.long
def test_a_disk_that_is_full(grid, folder, tmp_path, monkeypatch):
    """The run ends and names the file; with room again it resumes to the same end."""
    grid(settings(tmp_path / "whole")).serve()
    full, write = [False], Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        if full[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    def look(message: Message) -> None:
        full[0] = message.metadata.group_id == "3"

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    loose = grid(settings(folder))
    loose.on_message = look
    with pytest.raises(OutputError, match=r"cannot write .*: No space left on device"):
        loose.serve()
    assert len(Checkpoint.read(folder).rounds) in (1, 2)  # books are written behind the next round
    full[0] = False
    grid(f"resume={folder}").serve()
    table = compared(folder, tmp_path / "whole")
    assert table["different"].sum() == 0, table
