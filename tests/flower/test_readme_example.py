"""The app of the README's two lines, of the shape that ``flwr new`` writes."""

import re
from pathlib import Path

import pytest

from flwr_gan.cli import main
from flwr_gan.errors import PayloadError

ROOT = Path(__file__).resolve().parents[2]
APP = Path(__file__).parent / "quickstart"


def accuracy(capsys, codec: str) -> tuple[float, str]:
    arguments = ["--app", str(APP), "--num-supernodes", "4"]
    arguments += ["--run-config", f'codec="{codec}" fraction-evaluate=1.0']
    assert main(arguments) == 0
    out = capsys.readouterr().out
    found = re.findall(r"'eval_acc': ([0-9.e-]+)", out)
    assert len(found) == 3
    return float(found[-1]), out


@pytest.mark.long
def test_the_example_learns_as_plain_flower_does(capsys):
    plain, out = accuracy(capsys, "")
    assert "bytes in messages" not in out
    assert plain > 0.85
    lossless, out = accuracy(capsys, "sparse")
    assert "bytes in messages" in out
    assert lossless == pytest.approx(plain, abs=0.01)  # replies are added in another order
    int8, out = accuracy(capsys, "sparse:int8")
    assert int8 == pytest.approx(plain, abs=0.01)
    found = re.findall(r"([\d,]+) bytes in messages; the arrays have ([\d,]+)", out)
    sent, dense = (int(number.replace(",", "")) for number in found[0])
    assert sent < dense / 2


def test_the_readme_shows_lines_of_the_example():
    readme = (ROOT / "README.md").read_text()
    for file, line in (
        ("client_app.py", "app = ClientApp(mods=[compression_mod])"),
        ("server_app.py", "grid = CompressedGrid(grid, codec="),
        ("client_app.py", "from flwr_gan.flower import compression_mod"),
        ("server_app.py", "from flwr_gan.flower import CompressedGrid"),
    ):
        assert line in (APP / "quickstart" / file).read_text()
        assert line in readme


@pytest.mark.long
def test_a_run_without_an_accepted_reply_ends_with_an_error(capsys, monkeypatch):
    def refuse(*_):
        raise PayloadError("spoilt on the way")

    monkeypatch.setattr("flwr_gan.flower.exchange.Exchange.receive", refuse)
    arguments = ["--app", str(APP), "--run-config", "num-server-rounds=1"]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert "no reply of a client was ever accepted: spoilt on the way" in error
