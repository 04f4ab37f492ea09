"""Ray under Flower's simulation: started on this machine, or joined at an address.

The settings of ``--backend-config`` are Flower's. ``client_resources`` is what a client takes of
the cluster, ``{"num_cpus": 1, "num_gpus": 0.0}`` by default; as many clients run at once as fit.
``init_args`` is what ``ray.init`` takes: ``{"num_cpus": 8}`` bounds what Ray uses of this machine,
``{"address": "10.0.0.1:6379"}`` joins a cluster. Without an address, and without the
``RAY_ADDRESS`` that Ray's own tools set, Ray is started on this machine. ``actor`` is Flower's own,
for TensorFlow. docs/deploy.md says how to start a cluster of several machines; what the clients
read from the environment, such as ``FLWR_GAN_DATA``, has to be set where ``ray start`` is called.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from flwr_gan.core.settings import Amount, Positive, checked, require_keys
from flwr_gan.errors import ConfigError

OPTION = "--backend-config"
_SETTINGS = ("actor", "client_resources", "init_args")
_RESOURCES = ("num_cpus", "num_gpus")


def ray_settings(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return Flower's settings of Ray, with defaults that save resources.

    Raises ``ConfigError`` when Ray is not installed, or a setting is unknown or no number.
    """
    if find_spec("ray") is None:
        raise ConfigError("--backend ray needs Ray: pip install 'flwr-gan[ray]', or use inline")
    settings = _underscored(given or {})
    require_keys(f"{OPTION}: ", settings, _SETTINGS)
    for key, value in settings.items():
        if not isinstance(value, dict):
            raise ConfigError(f"{OPTION}: {key}={value!r} is not allowed: give a JSON object")
    resources = {"num_cpus": 1, "num_gpus": 0.0} | settings.get("client_resources", {})
    require_keys(f"{OPTION}: client_resources: ", resources, _RESOURCES)
    for key, value in resources.items():
        kind = Positive if key == "num_cpus" else Amount
        checked(f"{OPTION}: client_resources.{key}", value, kind)
    return {"init_args": {}} | settings | {"client_resources": resources}


@contextmanager
def ray_cluster(settings: Mapping[str, Any], *, verbose: bool) -> Iterator[None]:
    """Keep Ray running during a simulation; Flower uses the running Ray.

    A Ray started here is stopped here; a running one is left unchanged. Raises ``ConfigError`` when
    Ray does not start, or no client fits into the cluster: otherwise both errors would occur in
    Flower's threads, and the server would wait forever.
    """
    import ray

    if ray.is_initialized():  # by the caller, who also stops it
        _check_room(settings["client_resources"])
        yield
        return
    # Workers inherit the environment, but not later additions to sys.path.
    paths = os.pathsep.join(filter(None, [*sys.path, os.environ.get("PYTHONPATH", "")]))
    arguments: dict[str, Any] = {
        "address": os.environ.get("RAY_ADDRESS", "local"),  # not another Ray on this machine
        "include_dashboard": False,
        "log_to_driver": verbose,
        "logging_level": "info" if verbose else "error",
        "runtime_env": {"env_vars": {"PYTHONPATH": paths}},
        **settings["init_args"],
    }
    try:
        ray.init(**arguments)
    except (ConnectionError, OSError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        place = arguments["address"]
        where = "start" if place == "local" else f"join the cluster at {place}"
        raise ConfigError(f"{OPTION}: Ray cannot {where}: {reason}; mend init_args") from error
    try:
        _check_room(settings["client_resources"])
        yield
    finally:
        ray.shutdown()


def _check_room(resources: Mapping[str, float]) -> None:
    """Raise unless some machine of the cluster has room for a client."""
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    for machine in machines:
        if all(machine.get(names[key], 0) >= asked for key, asked in resources.items()):
            return
    has = "; ".join(
        ", ".join(f"{key} {machine.get(name, 0):g}" for key, name in names.items())
        for machine in machines
    )
    asked = ", ".join(f"{key} {value:g}" for key, value in resources.items())
    raise ConfigError(
        f"{OPTION}: client_resources ({asked}) is more than any machine has ({has}): ask for less"
    )


def _underscored(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with ``_`` in their keys where Flower allows ``-`` as well."""
    return {
        key.replace("-", "_"): _underscored(value) if isinstance(value, dict) else value
        for key, value in settings.items()
    }
