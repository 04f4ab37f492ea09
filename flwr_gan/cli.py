"""The ``flower-simulation`` command: run a Flower app with virtual clients on this machine."""

import argparse
import importlib
import importlib.metadata
import json
import logging
import operator
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # telemetry needs the network
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from packaging.requirements import Requirement

from flwr_gan import __version__
from flwr_gan.core.logs import log_to_stdout
from flwr_gan.engine.app_config import declared_config, given_config
from flwr_gan.engine.run_apps import BACKENDS, WatchedServerApp, run_apps
from flwr_gan.errors import AppError, ConfigError, FlwrGanError

DEFAULT_NUM_SUPERNODES = 2  # as `flwr run`
_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class FlowerApp:
    """A Flower app on this machine, with the run config declared in its pyproject.toml.

    The module of the server app may define ``prepare_run_config``, and also ``nothing_left`` and
    ``engine_settings``.
    """

    server_app: ServerApp
    client_app: ClientApp
    defaults: dict[str, Any]
    server_module: str


def find_app(name: str) -> FlowerApp:
    """Return the app of a name: a folder with a pyproject.toml, or a package.

    Raises ``AppError``.
    """
    folder = Path(name)
    importable = all(part.isidentifier() for part in name.split("."))
    if folder.is_dir() and ((folder / "pyproject.toml").exists() or not importable):
        return _from_folder(folder)
    if not importable:
        raise AppError(f"--app {name}: there is no such folder; give a folder or a package name")
    return _load(name, f"{name}.server_app:app", f"{name}.client_app:app", {})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    log_to_stdout(logging.DEBUG if options.verbose else logging.INFO)
    logging.getLogger("flwr").setLevel(logging.INFO if options.verbose else logging.ERROR)
    try:
        _simulate(options)
    except FlwrGanError as error:
        print(f"flower-simulation: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("flower-simulation: interrupted; finished rounds are kept", file=sys.stderr)
        return 130
    return 0


def _simulate(options: argparse.Namespace) -> None:
    app = find_app(options.app)
    module = sys.modules[app.server_module]
    prepare = getattr(module, "prepare_run_config", None)
    settings: dict[str, Any] = {}
    if prepare is None:
        run_config = given_config(options.run_config, app.defaults)
        num_supernodes = options.num_supernodes or DEFAULT_NUM_SUPERNODES
    else:
        run_config, num_supernodes = prepare(options.run_config, options.num_supernodes)
        if done := getattr(module, "nothing_left", lambda _: None)(run_config):
            print(done)
            return
        settings = getattr(module, "engine_settings", lambda _: {})(run_config)
    run_apps(
        WatchedServerApp(app.server_app),
        app.client_app,
        num_supernodes=num_supernodes,
        run_config=run_config,
        backend=options.backend,
        backend_config=_backend_config(options.backend_config),
        verbose=options.verbose,
        **settings,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flower-simulation",
        description="Run a Flower app with virtual clients on this machine.",
    )
    parser.add_argument(
        "--app",
        required=True,
        metavar="NAME_OR_DIR",
        help="a package, or a folder with a pyproject.toml",
    )
    parser.add_argument(
        "--num-supernodes", type=_count, metavar="N", help="number of virtual clients"
    )
    parser.add_argument(
        "--run-config",
        default="",
        metavar="'K=V K=V'",
        help="settings of the app; for flwr_gan Hydra overrides such as 'codec=lzma seed=3'",
    )
    parser.add_argument(
        "--backend",
        default="auto",
        choices=("auto", *BACKENDS),
        help="where clients run: one after the other in this process (inline), side by side in "
        "processes of this machine (processes), on Ray (ray); auto, the default, is processes "
        "where there are two cores and two clients or more, and otherwise inline",
    )
    parser.add_argument(
        "--backend-config",
        default="",
        metavar="JSON",
        help="settings of the backend. inline and processes: state_memory_mb, the most megabytes "
        "of the clients' states in memory, '{\"state_memory_mb\": 200}'. processes: workers, how "
        "many clients run at once. ray: client_resources says what a client takes, "
        '\'{"client_resources": {"num_cpus": 2, "num_gpus": 0.25}}\'; init_args goes to ray.init, '
        "and its address joins a cluster of several machines that `ray start` has made, "
        '\'{"init_args": {"address": "10.0.0.1:6379"}}\'',
    )
    parser.add_argument("--verbose", action="store_true", help="show debug messages")
    parser.add_argument("--version", action="version", version=__version__)
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


def _backend_config(text: str) -> dict[str, Any]:
    try:
        settings = json.loads(text or "{}")
    except ValueError as error:
        raise ConfigError(f"--backend-config is no JSON: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError("--backend-config: expected a JSON object")
    return settings


def _from_folder(folder: Path) -> FlowerApp:
    path = folder / "pyproject.toml"
    try:
        settings = tomllib.loads(path.read_text())["tool"]["flwr"]["app"]
        server, client = (settings["components"][key] for key in ("serverapp", "clientapp"))
    except FileNotFoundError:
        raise AppError(f"--app {folder}: there is no {path}") from None
    except (KeyError, TypeError):
        raise AppError(
            f"--app {folder}: {path} names no serverapp and clientapp under "
            "[tool.flwr.app.components]"
        ) from None
    except (OSError, ValueError) as error:
        raise AppError(f"--app {folder}: cannot read {path}: {error}") from error
    try:
        defaults = declared_config(settings.get("config", {}))
    except ConfigError as error:
        raise AppError(f"--app {folder}: {path}: {error}") from error
    sys.path.insert(0, str(folder.resolve()))
    return _load(str(folder), server, client, defaults)


def _load(name: str, server: Any, client: Any, defaults: dict[str, Any]) -> FlowerApp:
    server_app, client_app = _attribute(name, server), _attribute(name, client)
    if not isinstance(server_app, ServerApp):
        raise AppError(f"--app {name}: {server} is no ServerApp")
    if not isinstance(client_app, ClientApp):
        raise AppError(f"--app {name}: {client} is no ClientApp")
    return FlowerApp(server_app, client_app, defaults, server.split(":")[0])


def _attribute(name: str, reference: object) -> object:
    """Return the object that ``module:attribute`` names."""
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise AppError(f"--app {name}: {reference!r} is no component: write 'module:attribute'")
    module_name, _, attribute = reference.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # the app's module may raise anything
        raise AppError(f"--app {name}: {_why_not(error, module_name, reference)}") from error
    try:
        return operator.attrgetter(attribute)(module)
    except AttributeError as error:
        raise AppError(f"--app {name}: {module_name} has no {attribute}") from error


def _why_not(error: BaseException, module_name: str, reference: str) -> str:
    """Return why a module could not be imported, in one line."""
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        if f"{module_name}.".startswith(f"{error.name}."):
            return f"there is no {reference}; give a Flower app's folder or package"
        return _what_is_missing(module_name.split(".")[0]) or (
            f"{module_name} needs {error.name}: install it"
        )
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}; mend the file"
    reason = " ".join(str(error).split())
    return f"{module_name} cannot be imported: {type(error).__name__}: {reason}; mend the app"


def _what_is_missing(package: str) -> str | None:
    """Return which libraries of a package's distribution are not installed; None if unknown."""
    try:
        name = importlib.metadata.metadata(package)["Name"]
        required = map(Requirement, importlib.metadata.requires(package) or [])
    except importlib.metadata.PackageNotFoundError:
        return None
    missing = [
        requirement.name
        for requirement in required
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not _is_installed(requirement.name)
    ]
    if not missing:
        return None
    return f"{package} needs {', '.join(missing)}, not installed here: pip install {name}"


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
