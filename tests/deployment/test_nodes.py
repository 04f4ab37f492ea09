"""Nodes that are wrong, late, silent or replaced: what the server says and does."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from flwr.app import ConfigRecord, Error, Message, MessageType, RecordDict

from flwr_gan.app import nodes as nodes_module
from flwr_gan.app import server
from flwr_gan.app.nodes import ANSWER, NO_SETTINGS, START, code_hash, partition_of
from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.flower import sampling
from flwr_gan.flower.flwr_private import ErrorCode
from tests.conftest import TINY
from tests.deployment.loose_grid import LooseGrid

MakeGrid = Callable[..., LooseGrid]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def grid(folder: Path, monkeypatch: pytest.MonkeyPatch) -> MakeGrid:
    """Return a function that makes a grid of nodes with these partitions, for two clients."""
    for module in (server, sampling):
        monkeypatch.setattr(module, "SAY_EVERY_S", 0.05)
    monkeypatch.setattr(sampling, "_POLL_S", 0.01)

    def make(*partitions: Any, settings: str = "federation.rounds=1") -> LooseGrid:
        overrides = (
            f"{TINY} strategy=fedavg codec=sparse:int8 evaluation=none federation.wait_s=0.2 "
            f"{settings} output_dir={folder}"
        )
        configs = {
            10 + at: {} if partition is None else {"partition-id": partition}
            for at, partition in enumerate(partitions)
        }
        return LooseGrid(overrides, configs)

    return make


def clients(folder: Path) -> list[int]:
    return list(pd.read_csv(folder / "rounds.csv")["clients"])


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, f"the node has no partition-id: {START}"),
        ("left", f"partition-id=left is no whole number from 0: {START}"),
        (-1, f"partition-id=-1 is no whole number from 0: {START}"),
        (True, f"partition-id=True is no whole number from 0: {START}"),
        (0.5, f"partition-id=0.5 is no whole number from 0: {START}"),
        (2, "partition-id=2 is too large: federation.num_clients=2 allows 0 to 1"),
    ],
)
def test_a_wrong_partition_is_named_before_training(grid: MakeGrid, folder: Path, given, reason):
    with pytest.raises(ConfigError) as error:
        grid(0, given).serve()
    assert str(error.value) == f"no node is client 1; node 11: {reason}"
    assert not folder.exists()


def test_two_nodes_with_one_partition_are_named_before_training(grid: MakeGrid, folder: Path):
    with pytest.raises(ConfigError) as error:
        grid(1, 1).serve()
    assert str(error.value) == f"nodes 10 and 11 both have partition-id=1: {START}"
    assert not folder.exists()


def test_a_partition_may_be_written_as_text():
    assert partition_of({"partition-id": "3"}) == partition_of({"partition-id": 3}) == 3


@pytest.mark.long
def test_more_nodes_than_clients(grid: MakeGrid, folder: Path, capsys):
    loose = grid(0, 1, 2)
    asked: list[tuple[int, str]] = []
    loose.on_message = lambda message: asked.append(
        (message.metadata.dst_node_id, message.metadata.message_type)
    )
    loose.serve()
    assert clients(folder) == [2]
    assert (12, MessageType.TRAIN) not in asked
    assert "node 12 does not take part: partition-id=2 is too large" in capsys.readouterr().out


@pytest.mark.long
def test_a_missing_node_is_waited_for_and_named(grid: MakeGrid, folder: Path, capsys):
    loose = grid(0)
    with pytest.raises(TrainingError) as error:
        loose.serve()
    assert str(error.value) == (
        "waiting for client 1: 1 connected after federation.wait_s=0.2: start them, or give as "
        "many federation.num_clients as there are; finished rounds are kept for resume"
    )
    assert capsys.readouterr().out.count("waiting for client 1: 1 connected, ") > 1
    loose.configs[11] = {"partition-id": 1}
    loose.serve()  # the same command; the folder holds no run
    assert clients(folder) == [2]


def test_a_node_that_never_answers_the_question(grid: MakeGrid, folder: Path):
    loose = grid(0, 1)
    loose.silent.add(11)
    with pytest.raises(TrainingError, match="waiting for client 1: 1 connected after"):
        loose.serve()
    assert not folder.exists()


def in_round(server_round: int, do: Callable[[], None]) -> Callable[[Message], None]:
    """Return what does something once, at the first message of training in a round."""
    done: list[bool] = []

    def look(message: Message) -> None:
        of_round = message.metadata.group_id == str(server_round)
        if message.metadata.message_type == MessageType.TRAIN and of_round and not done:
            done.append(True)
            do()

    return look


@pytest.mark.long
def test_a_node_that_is_replaced(grid: MakeGrid, folder: Path, capsys):
    loose = grid(0, 1, settings="federation.rounds=3")

    def replace() -> None:
        del loose.configs[11]
        loose.configs[12] = {"partition-id": 1}

    loose.on_message = in_round(2, replace)
    loose.serve()
    assert clients(folder) == [2, 1, 2]
    assert "client 1 is now node 12, in place of node 11" in capsys.readouterr().out
    table = pd.read_csv(folder / "messages.csv")
    up = table[table["direction"] == "up"]
    assert list(zip(up["round"], up["client"], strict=True)) == [
        (1, 0), (1, 1), (2, 0), (3, 0), (3, 1),
    ]  # fmt: skip


@pytest.mark.long
def test_a_replacement_that_is_there_before_the_other_has_gone(grid: MakeGrid, folder: Path):
    """The old node may still count as connected: Flower notices its end after a minute."""
    loose = grid(0, 1, settings="federation.rounds=3")

    def replace() -> None:
        loose.silent.add(11)
        loose.configs[12] = {"partition-id": 1}

    loose.on_message = in_round(2, replace)
    loose.serve()
    assert clients(folder) == [2, 1, 2]


@pytest.mark.long
@pytest.mark.parametrize("kept", [True, False], ids=["its state on disk", "nothing"])
def test_a_node_that_lost_its_memory_is_asked_again(
    grid: MakeGrid, folder: Path, tmp_path: Path, kept
):
    loose = grid(0, 1, settings="federation.rounds=4")
    state = tmp_path / "states"
    for config in loose.configs.values():
        config["state-dir"] = str(state)

    def wipe() -> None:
        loose.wipe(11)
        for path in state.glob("**/00001/*.npz"):
            if not kept:
                path.unlink()

    loose.on_message = in_round(2, wipe)
    loose.serve()
    assert clients(folder)[-1] == 2
    assert (state / "run/checkpoint/clients/00001/round-00004.npz").exists()


@pytest.mark.long
def test_a_resumed_run_asks_a_node_without_settings_again(
    grid: MakeGrid, folder: Path, tmp_path: Path
):
    """It cannot compose them: the resumed run's config lies with the server alone."""
    loose = grid(0, 1, settings="federation.rounds=4")

    def end() -> None:
        raise KeyboardInterrupt

    loose.on_message = in_round(2, end)
    with pytest.raises(KeyboardInterrupt):
        loose.serve()
    assert clients(folder) == [1 + 1]
    resumed = LooseGrid(f"resume={folder}", {20: {"partition-id": 0}, 21: {"partition-id": 1}})
    resumed.on_message = in_round(3, lambda: resumed.wipe(21))
    resumed.serve()
    assert clients(folder) == [2, 2, 1, 2]
    assert NO_SETTINGS.startswith("this node has lost the settings")


@pytest.mark.long
def test_a_node_that_fails_at_the_question_is_asked_again(grid: MakeGrid, folder: Path, capsys):
    """It returns in the middle of a run, and dies once before it has said who it is."""
    loose = grid(0, 1, settings="federation.rounds=4 federation.min_clients=1")
    honest = loose.answer
    failures = [Error(ErrorCode.CLIENT_APP_CRASHED, "the client app has crashed")]

    def replace() -> None:
        del loose.configs[11]
        loose.configs[12] = {"partition-id": 1}

    def answer(message: Message) -> Message:
        is_question = message.metadata.message_type == MessageType.QUERY
        if is_question and message.metadata.dst_node_id == 12 and failures:
            return Message(failures.pop(), reply_to=message)
        return honest(message)

    loose.answer = answer
    loose.on_message = in_round(2, replace)
    loose.serve()
    assert clients(folder)[-1] == 2
    said = "node 12 did not say who it is: the client app has crashed"
    assert capsys.readouterr().out.count(said) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "the node has other code of flwr_gan (None) than the server"),
        ({"code": code_hash(), "partition": -1}, "it says partition-id=-1: "),
        ({"code": code_hash(), "partition": "1"}, "it says partition-id=1: "),
        ({"code": code_hash(), "partition": 1, "own": True}, "the node's own data are None"),
    ],
)
def test_a_node_that_lies_about_itself(grid: MakeGrid, folder: Path, answer, reason):
    loose = grid(0, 1)
    honest = loose.answer

    def lie(message: Message) -> Message:
        if message.metadata.dst_node_id == 10:
            return honest(message)
        records = {ANSWER: ConfigRecord(answer)} if answer else {}
        return Message(RecordDict(records), reply_to=message)

    loose.answer = lie
    with pytest.raises(ConfigError, match=re.escape(f"no node is client 1; node 11: {reason}")):
        loose.serve()
    assert not folder.exists()


@pytest.mark.long
def test_a_round_without_any_reply_does_not_count(grid: MakeGrid, folder: Path):
    loose = grid(0, 1, settings="federation.rounds=3")
    loose.on_message = in_round(2, lambda: loose.silent.update([10, 11]))
    with pytest.raises(TrainingError) as error:
        loose.serve()
    assert "no client delivered anything in round 2: " in str(error.value)
    assert str(error.value).endswith(f"; 1 rounds are kept: resume={folder}")
    assert clients(folder) == [2]
    assert not (folder / "summary.json").exists()
    LooseGrid(f"resume={folder}", {20: {"partition-id": 0}, 21: {"partition-id": 1}}).serve()
    assert clients(folder) == [2, 2, 2]


def test_nodes_of_another_version_are_named(grid: MakeGrid, monkeypatch):
    answers = iter(["a", "b", "b", "b"])
    monkeypatch.setattr(nodes_module, "code_hash", lambda: next(answers, "b"))
    with pytest.raises(ConfigError, match="other code of flwr_gan"):
        grid(0, 1).serve()
