"""Dependencies point one way, and importing does no work."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("flwr_gan", "strategies")

# A module may import from its own layer and from those named beside it.
LAYERS = {
    "errors": set(),
    "seeding": {"errors"},
    "atomic": {"errors"},
    "codecs": {"errors"},
    "compress": {"errors", "codecs"},
    "wire": {"errors", "atomic", "codecs", "compress"},
    "flower": {"errors", "seeding", "codecs", "compress", "wire"},
    "heap": set(),
    "engine": {"errors", "flower", "heap"},
    "data": {"errors", "seeding", "atomic", "settings"},
    "settings": {"errors"},
    "tree": {"errors", "atomic"},
    "gan": {"errors", "heap", "seeding", "settings", "tree"},
    "prune": {"errors", "seeding", "settings", "codecs", "gan"},
    "methods": {"errors", "seeding", "settings", "codecs", "compress", "gan", "prune"},
    "metrics": {"errors", "seeding", "settings", "data"},
    "privacy": {"errors", "settings", "gan"},
    "plots": {"errors", "atomic", "data"},
    "overrides": {"errors"},
    "config": {
        "errors",
        "overrides",
        "settings",
        "app",
        "codecs",
        "compress",
        "gan",
        "prune",
        "privacy",
    },
}
# What flwr documents; any other module of it is private to flwr_gan/flower/flwr_private.py.
PUBLIC_FLWR = {
    "flwr.app", "flwr.client", "flwr.clientapp", "flwr.clientapp.mod", "flwr.common",
    "flwr.server", "flwr.server.client_manager", "flwr.server.client_proxy",
    "flwr.server.criterion", "flwr.server.history", "flwr.server.server", "flwr.server.strategy",
    "flwr.serverapp", "flwr.serverapp.strategy", "flwr.simulation",
}  # fmt: skip
LIBRARIES = {
    "torch": {
        "gan", "prune", "methods", "metrics", "data", "privacy", "app",
        "wiring.py",
    },
    "flwr": {
        "app", "engine",
        "flower", "client_app.py", "server_app.py", "cli.py", "strategies",
        "wiring.py", "run.py", "checkpoint.py",
    },
    "tensorboardX": {"app/loggers.py"},
    "opacus": {"privacy"},
    "hydra": {"config.py", "overrides.py", "cli.py", "wiring.py"},
}  # fmt: skip


def modules():
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path.relative_to(ROOT)


def imported(path: Path) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def layer(path: Path) -> str:
    if path.parts[0] == "strategies":
        return "strategies"
    return path.parts[1].removesuffix(".py")


@pytest.mark.parametrize("path", list(modules()), ids=str)
def test_layers_depend_downwards_only(path):
    allowed = LAYERS.get(layer(path))
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "experiments" or (top == "strategies" and path.parts[0] == "flwr_gan"):
            pytest.fail(f"{path} imports {name}")
        if top == "flwr_gan" and rest and allowed is not None:
            assert rest[0] in allowed | {layer(path)}, f"{path} imports {name}"


@pytest.mark.parametrize("path", list(modules()), ids=str)
def test_heavy_libraries_stay_where_they_belong(path):
    inside = path.as_posix().removeprefix("flwr_gan/")
    for name in imported(path):
        places = LIBRARIES.get(name.split(".")[0])
        if places is not None:
            assert any(inside == p or inside.startswith(f"{p}/") for p in places), (
                f"{path} imports {name}"
            )


@pytest.mark.parametrize("path", list(modules()), ids=str)
def test_private_names_of_flwr_are_in_one_file(path):
    if path.name != "flwr_private.py":
        private = {name for name in imported(path) if name.split(".")[0] == "flwr"} - PUBLIC_FLWR
        assert not private, f"{path} imports {sorted(private)}"


def test_codecs_and_wire_import_without_torch_flwr_or_hydra():
    code = (
        "import sys, flwr_gan.wire, flwr_gan.compress; "
        "print(sorted({'torch', 'flwr', 'hydra', 'pcodec'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_command_and_its_engine_import_without_torch():
    code = "import sys, flwr_gan.cli; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_nothing_is_unpickled():
    for path in modules():
        text = (ROOT / path).read_text()
        assert "pickle.load" not in text, path
        assert "allow_pickle=True" not in text, path
        assert "torch.load(" not in text or "weights_only=True" in text, path
