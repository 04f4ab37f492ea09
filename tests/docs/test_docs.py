"""What the README and the pages of docs/ say can be done: code, commands, links, names."""

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from unittest.mock import Mock

import pytest

import flwr_gan.flower
import flwr_gan.wire
import strategies
from flwr_gan.app.config import load_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "PRIVACY.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
EVERY_PAGE = [*PAGES, *sorted((ROOT / "experiments").rglob("*.md"))]
EVERY_PAGE += sorted((ROOT / "flwr_gan").rglob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(language: str):
    for page in PAGES:
        for found in BLOCK.finditer(page.read_text()):
            if found[1] == language:
                yield pytest.param(
                    found[2],
                    id=f"{page.stem}-{page.read_text()[: found.start()].count(chr(10)) + 1}",
                )


def names(page: Path) -> set[str]:
    return set(re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200


@pytest.mark.parametrize("code", list(blocks("python")))
def test_code_runs(code, seeded_run):
    from flwr.client.mod import secaggplus_mod
    from flwr.clientapp import ClientApp
    from flwr.server.strategy import FedAvg
    from flwr.serverapp import Grid

    def client_fn(context):
        raise NotImplementedError

    given = {name: getattr(flwr_gan.flower, name) for name in flwr_gan.flower.__all__}
    given |= {
        "ClientApp": ClientApp,
        "FedAvg": FedAvg,
        "grid": Mock(spec=Grid),
        "client_fn": client_fn,
    }
    code = code.replace("FedAvg(...)", "FedAvg()")
    if '"runs/NAME"' in code:
        code = code.replace('"runs/NAME"', repr(str(seeded_run())))
    exec(code, {**given, "secaggplus_mod": secaggplus_mod})


def commands():
    for block in blocks("sh"):
        for line in block.values[0].replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield pytest.param(words, id=f"{block.id}-{' '.join(words[:3])}")


@pytest.mark.parametrize("words", [c for c in commands() if "--run-config" in c.values[0]])
def test_settings_of_commands_are_those_of_the_app(words):
    overrides = words[words.index("--run-config") + 1]
    app = words[words.index("--app") + 1] if "--app" in words else "flwr_gan"
    if app == "flwr_gan" and "my_package" not in overrides and "resume=" not in overrides:
        if words[0] != "flower-simulation":  # Flower's own runner
            overrides = tomllib.loads(overrides)["overrides"]
        load_config(overrides.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_modules_of_commands_exist(page):
    for module in re.findall(r"python -m ([\w.]+\w)", page.read_text()):
        assert importlib.util.find_spec(module), f"{page.name}: python -m {module}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_make_knows_every_word(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", page.read_text())) <= targets


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for link in LINK.findall(page.read_text()):
        if "://" not in link and not link.startswith("#"):
            assert (page.parent / link.partition("#")[0]).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize(
    ("page", "package"),
    [("wire", flwr_gan.wire), ("flower", flwr_gan.flower), ("strategies", strategies)],
)
def test_every_public_name_is_on_its_page(page, package):
    shown = names(ROOT / "docs" / "api" / f"{page}.md")
    assert {f"{package.__name__}.{name}" for name in package.__all__} == {
        name for name in shown if name.startswith(f"{package.__name__}.")
    }


@pytest.mark.parametrize(
    ("page", "package"),
    [("wire", flwr_gan.wire), ("flower", flwr_gan.flower), ("strategies", strategies)],
)
def test_every_public_name_is_in_an_example_that_runs(page, package):
    text = (ROOT / "docs" / "api" / f"{page}.md").read_text()
    examples = "".join(code for _, code in BLOCK.findall(text))
    assert [name for name in package.__all__ if not re.search(rf"\b{name}\b", examples)] == []


def test_the_version_is_one():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == version
