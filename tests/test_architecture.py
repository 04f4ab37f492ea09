"""The rooms of the package: which may import which, which libraries each uses, what conf names.

A room is a folder or a module directly under ``flwr_gan``, or ``strategies``, or one of the two
folders of ``wire``. Imports inside functions count, and so do strings that name a module, such as
those of a registry.
"""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("flwr_gan", "strategies")
MOST_ROOMS, MOST_FLOORS = 20, 8

# What a room may import beside itself.
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "seeding": set(),
    "core": {"errors"},
    "wire.codecs": {"errors"},
    "wire.stages": {"errors", "wire.codecs"},
    "wire": {"errors", "core", "wire.codecs", "wire.stages"},
    "flower": {"errors", "seeding", "core", "wire.codecs", "wire.stages", "wire"},
    "engine": {"errors", "core", "flower"},
    "data": {"errors", "seeding", "core"},
    "gan": {"errors", "seeding", "core"},
    "prune": {"errors", "seeding", "core", "wire.codecs", "gan"},
    "methods": {"errors", "seeding", "core", "wire.codecs", "wire.stages", "gan", "prune"},
    "metrics": {"errors", "seeding", "core", "data"},
    "privacy": {"errors", "core", "gan"},
    "plots": {"errors", "core", "data"},
    "strategies": {"errors", "core", "wire", "flower", "prune", "methods", "app"},
    "app": {
        "errors", "seeding", "core", "wire.codecs", "wire.stages", "wire", "flower", "engine",
        "data", "gan", "prune", "methods", "metrics", "privacy", "plots",
    },
    "cli": {"errors", "core", "engine"},
    "client_app": {"flower", "app"},
    "server_app": {"errors", "core", "flower", "app"},
}  # fmt: skip
ROOMS_WITHIN = {("wire", "codecs"), ("wire", "stages")}
# Looked up by name, because what is looked up builds on who looks.
BY_NAME = {("wire.codecs", "wire.stages")}

# Libraries beside the standard one, by room.
LIBRARIES: dict[str, set[str]] = {
    "seeding": {"numpy"},
    "core": {"numpy"},
    "wire.codecs": {"numpy", "numba", "pcodec", "zstandard"},
    "wire.stages": {"numpy", "numba"},
    "wire": {"numpy", "numba", "isal", "ml_dtypes", "pandas"},
    "flower": {"flwr", "numpy", "numba"},
    "engine": {"flwr", "numpy", "ray", "threadpoolctl"},
    "data": {"numpy", "sklearn", "datasets", "flwr_datasets", "PIL"},
    "gan": {"numpy", "torch", "tqdm"},
    "prune": {"numpy", "torch"},
    "methods": {"numpy", "torch"},
    "metrics": {"numpy", "scipy", "sklearn", "torch"},
    "privacy": {"numpy", "torch", "opacus"},
    "plots": {"numpy", "pandas", "matplotlib"},
    "strategies": {"flwr", "numpy"},
    "app": {
        "flwr", "hydra", "matplotlib", "mlflow", "numpy", "omegaconf", "pandas", "tensorboardX",
        "threadpoolctl", "torch", "torchao", "wandb", "yaml",
    },
    "cli": {"flwr", "packaging"},
    "client_app": {"flwr"},
    "server_app": {"flwr"},
}  # fmt: skip
# The only files of a room that may use one of its libraries.
FILES = {
    ("app", "hydra"): {"config.py", "overrides.py", "strategy.py"},
    ("app", "tensorboardX"): {"loggers.py"},
    ("app", "mlflow"): {"loggers.py"},
    ("app", "wandb"): {"loggers.py"},
    ("app", "matplotlib"): {"loggers.py"},
    ("app", "torchao"): {"quantise.py"},
    ("engine", "ray"): {"ray_cluster.py"},
}
# What flwr documents; any other module of it is private to flwr_gan/flower/flwr_private.py.
PUBLIC_FLWR = {
    "flwr.app", "flwr.client", "flwr.clientapp", "flwr.clientapp.mod", "flwr.common",
    "flwr.server", "flwr.server.client_manager", "flwr.server.client_proxy",
    "flwr.server.criterion", "flwr.server.history", "flwr.server.server", "flwr.server.strategy",
    "flwr.serverapp", "flwr.serverapp.strategy", "flwr.simulation",
}  # fmt: skip
# Where the ``_target_`` of a group of conf may point.
TARGETS = {
    "data": ("flwr_gan.data.",),
    "partition": ("flwr_gan.data.",),
    "drift": ("flwr_gan.data.",),
    "method": ("flwr_gan.methods.",),
    "strategy": ("strategies.", "flwr.server.strategy."),
}

_MODULE = re.compile(r"(flwr_gan|strategies|experiments)(\.\w+)+")


def modules() -> list[Path]:
    paths = [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]
    return [p.relative_to(ROOT) for p in paths if p != ROOT / "flwr_gan" / "__init__.py"]


def room_of(top: str, *rest: str) -> str:
    if top == "strategies":
        return top
    return ".".join(rest[:2]) if rest[:2] in ROOMS_WITHIN else rest[0]


def room(path: Path) -> str:
    return room_of(*path.with_suffix("").parts)


@cache
def imported(path: Path) -> frozenset[str]:
    """Return what a file imports, wherever in the file, and the modules that it names."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            names.add(node.module or "")
            if node.module == "flwr_gan":
                names |= {f"flwr_gan.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            file = ROOT.joinpath(*node.value.split(".")) if _MODULE.fullmatch(node.value) else None
            if file is not None and file.with_suffix(".py").exists():
                names.add(node.value)
    return frozenset(names)


def rooms_of(path: Path) -> set[str]:
    """Return the other rooms that a file imports from."""
    found = set()
    for name in imported(path):
        top, *rest = name.split(".")
        if top == "flwr_gan" and rest and rest[0] != "__version__":
            found.add(room_of(top, *rest))
        elif top in ("strategies", "experiments"):
            found.add(top)
    return found - {room(path)}


def below() -> dict[str, set[str]]:
    """Return the rooms that each room imports from."""
    graph: dict[str, set[str]] = {room(path): set() for path in modules()}
    for path in modules():
        graph[room(path)] |= {o for o in rooms_of(path) if (room(path), o) not in BY_NAME}
    return graph


@pytest.mark.long
@pytest.mark.parametrize("path", modules(), ids=str)
def test_a_file_imports_from_the_rooms_below_it(path):
    own = room(path)
    assert own in ROOMS, f"{own} has no place yet: give it one in ROOMS and LIBRARIES"
    for other in rooms_of(path) - ROOMS[own]:
        assert (own, other) in BY_NAME, f"{path} imports {other}"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_a_file_uses_the_libraries_of_its_room(path):
    used = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names)
    for library in used - {*PACKAGES, "experiments"}:
        files = FILES.get((room(path), library), {path.name})
        known = library in LIBRARIES.get(room(path), set())
        assert known, f"{path} imports {library}"
        assert path.name in files, f"{path} imports {library}"


@pytest.mark.parametrize("path", modules(), ids=str)
def test_private_names_of_flwr_are_in_one_file(path):
    if path.name != "flwr_private.py":
        private = {name for name in imported(path) if name.split(".")[0] == "flwr"} - PUBLIC_FLWR
        assert not private, f"{path} imports {sorted(private)}"


def test_rooms_are_few_and_stand_on_few_floors():
    rooms = below()
    assert set(ROOMS) == set(rooms), "ROOMS and the package differ"
    assert len(rooms) <= MOST_ROOMS
    floors: dict[str, int] = {}
    for name in TopologicalSorter(rooms).static_order():  # raises where rooms stand in a circle
        floors[name] = 1 + max((floors[other] for other in rooms[name]), default=0)
    assert max(floors.values()) <= MOST_FLOORS, floors


def targets() -> list[tuple[str, str]]:
    """Return the group and the value of every ``_target_`` in conf."""
    found = []
    for path in sorted((ROOT / "conf").rglob("*.yaml")):
        nodes = [yaml.safe_load(path.read_text())]
        while nodes:
            node = nodes.pop()
            if isinstance(node, dict):
                found += [(path.parent.name, node["_target_"])] if "_target_" in node else []
                nodes += node.values()
    return found


@pytest.mark.parametrize(("group", "target"), targets())
def test_conf_names_what_is_there_and_where_its_group_belongs(group, target):
    assert target.startswith(TARGETS.get(group, ())), f"conf/{group} names {target}"
    module, _, name = target.rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def test_codecs_and_wire_import_without_torch_flwr_or_hydra():
    code = (
        "import sys, flwr_gan.wire, flwr_gan.wire.stages; "
        "print(sorted({'torch', 'flwr', 'hydra', 'pcodec'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.long
def test_the_command_and_its_engine_import_without_torch():
    code = "import sys, flwr_gan.cli; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.long
def test_a_node_imports_nothing_that_its_message_does_not_need():
    heavy = {"torch", "sklearn", "scipy", "pandas", "matplotlib", "hydra", "flwr_datasets"}
    task = {"torch", "hydra"}
    for module, needed in (
        ("client_app", set()), ("app.continual", task), ("app.classifier.client", task)
    ):  # fmt: skip
        code = f"import sys, flwr_gan.{module}; print(*sorted({heavy - needed} & set(sys.modules)))"
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert result.stdout.strip() == "", module


def test_the_bundle_that_goes_to_every_node_is_small():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    sizes = [(ROOT / name).stat().st_size for name in ("pyproject.toml", "LICENSE")]
    assert patterns["fab-include"] == ["LICENSE"], "what else is in the bundle counts here too"
    assert sum(sizes) < 20_000


def test_nothing_is_unpickled():
    for path in modules():
        text = (ROOT / path).read_text()
        assert "pickle.load" not in text, path
        assert "allow_pickle=True" not in text, path
        assert "torch.load(" not in text or "weights_only=True" in text, path
