"""The ids of nodes, which are the same on every engine."""

import json
import subprocess
import sys

import pytest
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.server.superlink.fleet.vce import vce_api
from flwr.server.superlink.linkstate import LinkStateFactory, in_memory_linkstate
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.superlink.federation import NoOpFederationManager

from flwr_gan.flower.flwr_private import FIRST_NODE_ID, node_ids_in_order
from tests.engine.asked_nodes import asked


def registered(number):
    factory = LinkStateFactory(
        FLWR_IN_MEMORY_DB_NAME, NoOpFederationManager(), ObjectStoreFactory()
    )
    return vce_api._register_nodes(number, factory)


def test_nodes_of_a_simulation_have_ids_in_the_order_of_partitions():
    with node_ids_in_order():
        first, second = registered(40), registered(2)
    assert list(first.items()) == [(FIRST_NODE_ID + i, i) for i in range(40)]
    assert list(second) == [FIRST_NODE_ID + 40, FIRST_NODE_ID + 41]
    assert SUPERLINK_NODE_ID not in first


def test_other_ids_are_drawn_as_ever_and_all_are_afterwards():
    draw = in_memory_linkstate.generate_rand_int_from_bytes

    def fails():
        with node_ids_in_order():
            assert min(in_memory_linkstate.generate_rand_int_from_bytes(8, {1}) for _ in "ab") > 99
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert in_memory_linkstate.generate_rand_int_from_bytes is draw
    assert min(registered(3)) > 1000


@pytest.mark.slow
def test_a_seed_samples_the_same_nodes_on_both_engines_and_states_are_kept_alike():
    pytest.importorskip("ray")
    inline = asked("inline")
    assert [list(told.values())[:2] for _, told in inline[0]] == [[n, n - 2] for n, _ in inline[0]]
    command = [sys.executable, "-m", "tests.engine.asked_nodes"]
    done = subprocess.run(command, stdout=-1, stderr=-1, text=True, check=True, timeout=120)
    assert json.loads(done.stdout.splitlines()[-1]) == json.loads(json.dumps(inline))
