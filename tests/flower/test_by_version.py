"""Broadcasts of strategies that take replies as changes: no feedback, and no version forgotten."""

import numpy as np
import pytest

from flwr_gan.flower.broadcasts import Broadcaster
from flwr_gan.flower.memory import KEPT_BROADCASTS
from flwr_gan.flower.records import arrays_to_record
from flwr_gan.flower.settings import WireSettings

NODE, NAME = 2, "fitins.parameters"


def course(codec: str, *, by_version: bool, rounds: int = 40) -> list[float]:
    """Return how far what a node has decoded is from a model that moves by even steps."""
    rng = np.random.default_rng(0)
    weights, step = rng.normal(size=(2, 40, 50)).astype(np.float32)
    broadcaster = Broadcaster(WireSettings(codec=codec))
    broadcaster.by_version = by_version
    off = []
    for server_round in range(1, rounds + 1):
        weights = weights + 0.1 * step
        broadcaster.begin(server_round)
        record = arrays_to_record({"w": weights})
        sent, _ = broadcaster.broadcast(record, NODE, NAME, training=True)
        broadcaster.memory.confirm(NODE, NAME, sent.held.name)
        off.append(float(np.linalg.norm(sent.held.arrays["w"] - weights)))
    return off


@pytest.mark.parametrize("codec", ["sparse:int4", "topk:0.3+int4", "topk:0.1+int8"])
def test_what_a_broadcast_lost_is_in_the_next_difference_and_not_added_twice(codec):
    off = course(codec, by_version=True)
    assert max(off[20:]) < 1.5 * max(off[10:20])  # it does not grow
    assert np.mean(off[20:]) < np.mean(course(codec, by_version=False)[20:])


def test_a_lossless_broadcast_is_what_it_was():
    assert max(course("sparse", by_version=True)) == 0


def test_versions_that_nodes_have_are_kept():
    broadcaster = Broadcaster(WireSettings(codec="sparse"))
    broadcaster.by_version = True
    rng = np.random.default_rng(0)
    for server_round in range(1, 20):
        broadcaster.begin(server_round)
        record = arrays_to_record({"w": rng.normal(size=(8, 8)).astype(np.float32)})
        nodes = (2, 3) if server_round == 1 else (3,)
        for node in nodes:
            sent, _ = broadcaster.broadcast(record, node, NAME, training=True)
            if node == 3:
                broadcaster.memory.confirm(node, NAME, sent.held.name)
    assert len(broadcaster.memory.broadcasts) <= KEPT_BROADCASTS + 1
    broadcaster.memory.confirm(2, NAME, broadcaster.memory.sent[2, "parameters"])
    assert broadcaster.memory.base_of(2, NAME) is not None
