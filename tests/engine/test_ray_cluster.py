"""Ray under the simulation: its settings, and a cluster of several nodes."""

import json
import subprocess
import sys

import pytest
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from flwr_gan.engine.ray_cluster import ray_settings
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError

pytest.importorskip("ray")


def test_a_client_takes_one_core_unless_told_otherwise():
    assert ray_settings(None) == {
        "init_args": {},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
    }
    given = {"client-resources": {"num-gpus": 0.25}, "init_args": {"address": "auto"}}
    assert ray_settings(given) == {
        "init_args": {"address": "auto"},
        "client_resources": {"num_cpus": 1, "num_gpus": 0.25},
    }


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"resources": {}}, ["unknown key resources", "client_resources"]),
        ({"client_resources": {"cpus": 1}}, ["unknown key cpus", "num_cpus"]),
        ({"client_resources": {"num_cpus": 0}}, ["client_resources.num_cpus=0", "above 0"]),
        ({"client_resources": {"num_gpus": -1}}, ["client_resources.num_gpus=-1", "of at least 0"]),
        ({"client_resources": {"num_cpus": "2"}}, ["client_resources.num_cpus='2'"]),
        ({"client_resources": {"num_cpus": True}}, ["client_resources.num_cpus=True"]),
        ({"init_args": "auto"}, ["init_args='auto'", "JSON object"]),
    ],
)
def test_settings_that_are_not_allowed_are_named_before_anything_starts(given, parts):
    with pytest.raises(ConfigError) as raised:
        run_apps(
            ServerApp(),
            ClientApp(),
            num_supernodes=1,
            run_config={},
            backend="ray",
            backend_config=given,
        )
    assert all(part in str(raised.value) for part in parts)
    assert "\n" not in str(raised.value)


@pytest.mark.slow
def test_clients_run_on_both_nodes_of_a_cluster_that_is_named_by_its_address():
    command = [sys.executable, "-m", "tests.engine.two_ray_nodes"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=240)
    told = json.loads(done.stdout.splitlines()[-1])
    assert len(told["nodes"]) == 4
    assert len(set(told["nodes"])) == 2
    assert "num_cpus 2" in told["refused"]
    assert "more than any machine has (num_cpus 1, num_gpus 0; num_cpus 1" in told["refused"]
