"""States of nodes in memory and on disk."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.engine.node_states import node_states
from flwr_gan.errors import OutputError
from flwr_gan.flower.flwr_private import Run


def state(value: float, size: int = 100) -> RecordDict:
    values = {"a": 3, "b": "text", "c": b"\x00\xff", "d": [1.5, float(value)], "e": True, "f": []}
    return RecordDict(
        {
            "arrays": ArrayRecord([np.full(size, value), np.zeros((0, 3), np.float16)]),
            "values": ConfigRecord(values),
            "metrics": MetricRecord({"m": float(value), "n": [1, 2]}),
        }
    )


def test_states_on_disk_are_as_they_were():
    states = node_states(3000)
    for node in range(10):
        states.put(node, state(node))
    assert (len(states), len(states._on_disk)) == (10, 8)
    for node in range(10):
        assert states.get(node) == state(node)
        assert list(states.get(node)) == ["arrays", "values", "metrics"]
    states.put(0, state(20))
    states.drop(1)
    assert states.get(0) == state(20)
    assert states.get(1) is None
    assert (len(states), len(states._on_disk)) == (9, 7)
    folder = states._path(0).parent
    assert len(list(folder.iterdir())) == 7
    states.close()
    assert not folder.exists()
    assert len(states) == 0


def test_a_folder_without_room_is_an_error_that_says_what_to_do(monkeypatch, tmp_path):
    states = node_states(0)
    monkeypatch.setattr(states, "_path", lambda _: tmp_path / "missing" / "file")
    with pytest.raises(OutputError, match=r"state of node 3.*raise state_memory_mb"):
        states.put(3, state(1.0))


def averaging_app() -> ClientApp:
    """Return an app of clients that remember the mean of all that they were sent, if any."""
    app = ClientApp()

    @app.train()
    def train(message, context):
        sent = message.content["a"]["0"].numpy()
        if context.node_id % 2:
            seen = context.state.array_records.get("seen", ArrayRecord([sent * 0]))
            sent += seen["0"].numpy()
            context.state["seen"] = ArrayRecord([sent])
        return Message(RecordDict({"a": ArrayRecord([sent])}), reply_to=message)

    return app


@pytest.mark.parametrize("memory_mb", [0, 0.002, 1024])
def test_results_are_the_same_whatever_the_limit_and_memory_does_not_grow(memory_mb):
    run = Run.create_empty(1)
    grid = InlineGrid(
        averaging_app(), num_supernodes=8, run_config={}, run=run, state_memory_mb=memory_mb
    )
    held = []
    for turn in range(1, 5):
        messages = [
            Message(RecordDict({"a": ArrayRecord([np.full(50, float(node))])}), node, "train")
            for node in grid.get_node_ids()
        ]
        replies = list(grid.send_and_receive(messages))
        for node, reply in zip(grid.get_node_ids(), replies, strict=True):
            factor = turn if node % 2 else 1
            assert (reply.content["a"]["0"].numpy() == node * factor).all()
        held.append((len(grid.states), len(grid.states._on_disk), len(grid._replies)))
    # Clients that keep nothing leave nothing; replies are gone when they are pulled.
    assert held == [(4, {0: 4, 0.002: 1, 1024: 0}[memory_mb], 0)] * 4
    grid.close()
