"""The wire in an environment that holds flwr, numpy and zstandard, and nothing of the GAN."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flwr_gan.wire import save

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
APP = HERE / "foreign_app"


def run(*command, cwd, status=0):
    """Run a command away from the checkout and return what it printed."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV")
    env = {key: value for key, value in os.environ.items() if key not in ours}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == status, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout if status == 0 else done.stderr


@pytest.mark.slow
def test_the_wire_alone(tmp_path):
    """One test, so that the environment is made once, whoever runs tests side by side."""
    light = light_environment(tmp_path)
    a_numpy_app_runs_with_every_codec_and_stage_as_without(light, tmp_path)
    the_command_runs_a_foreign_app(light, tmp_path)
    the_command_names_what_the_gan_needs_and_how_to_get_it(light, tmp_path)
    fgan_looks_into_files_and_converts_them(light, tmp_path)
    what_else_is_missing_is_named(light, tmp_path)


def light_environment(place):
    """Return the folder of programs of a new virtual environment."""
    run(sys.executable, "-m", "venv", "--without-pip", place / "env", cwd=place)
    programs = place / "env" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "-q"]
    pip += ["--disable-pip-version-check", "--no-compile", "-c", ROOT / "constraints.txt"]
    run(*pip, "flwr", "numpy", "zstandard", cwd=place)
    run(*pip, "--no-deps", ROOT, cwd=place)
    return programs


def a_numpy_app_runs_with_every_codec_and_stage_as_without(light, tmp_path):
    said = run(light / "python", HERE / "check_wire.py", APP, cwd=tmp_path)
    assert "message: sparse equals plain" in said
    assert "legacy: sparse equals plain" in said
    assert "loop: sparse equals plain" in said
    assert "message: sparse:int8 is finite" in said


def the_command_runs_a_foreign_app(light, tmp_path):
    settings = {"plain": "", "coded": 'codec="zstd:3"'}
    found = {}
    for name, setting in settings.items():
        out = tmp_path / f"{name}.npz"
        items = f'rounds=2 out="{out}" {setting}'
        command = [light / "flower-simulation", "--app", APP, "--num-supernodes", "2"]
        run(*command, "--run-config", items, cwd=tmp_path)
        with np.load(out, allow_pickle=False) as file:
            found[name] = {key: file[key].tobytes() for key in file.files}
    assert found["plain"] == found["coded"]


def the_command_names_what_the_gan_needs_and_how_to_get_it(light, tmp_path):
    said = run(light / "flower-simulation", "--app", "flwr_gan", cwd=tmp_path, status=2)
    assert said.count("\n") == 1
    for name in ("torch", "hydra-core", "pandas", "scikit-learn", "pip install flwr-gan"):
        assert name in said
    assert "numpy" not in said
    command = [light / "flower-simulation", "--app", APP, "--backend", "ray"]
    assert "pip install 'flwr-gan[ray]'" in run(*command, cwd=tmp_path, status=2)


def fgan_looks_into_files_and_converts_them(light, tmp_path):
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    save(tmp_path / "g.fgan", {"w": weights, "steps": np.array(3)})
    fgan = [light / "python", "-m", "flwr_gan.app.fgan"]
    assert "3x4" in run(*fgan, "inspect", "g.fgan", cwd=tmp_path)
    run(light / "fgan", "convert", "g.fgan", "g.npz", cwd=tmp_path)
    with np.load(tmp_path / "g.npz", allow_pickle=False) as file:
        assert np.array_equal(file["w"], weights)
    said = run(*fgan, "convert", "g.fgan", "g.safetensors", cwd=tmp_path, status=2)
    assert said.count("\n") == 1
    assert "pip install 'flwr-gan[safetensors]'" in said
    said = run(*fgan, "sample", "g.fgan", "--output", "g.png", cwd=tmp_path, status=2)
    assert said.count("\n") == 1
    assert "which is not installed: pip install flwr-gan" in said


def what_else_is_missing_is_named(light, tmp_path):
    for code, said in {
        "from flwr_gan.wire.codecs import get_codec; get_codec('pcodec')": "flwr-gan[pcodec]",
        "from flwr_gan.wire.ledger import Ledger; Ledger().to_frame()": "pip install pandas",
    }.items():
        assert said in run(light / "python", "-c", code, cwd=tmp_path, status=1)
