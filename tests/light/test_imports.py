"""What the wire imports: flwr, numpy and zstandard, and nothing of what the GAN needs."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch", "hydra", "omegaconf", "pandas", "sklearn", "matplotlib", "scipy", "ray", "numba",
    "flwr_datasets", "datasets", "opacus", "tensorboardX", "safetensors", "PIL", "tqdm",
}  # fmt: skip


@pytest.mark.parametrize(
    "module",
    ["flwr_gan.wire", "flwr_gan.flower", "flwr_gan.engine", "flwr_gan.app.fgan", "flwr_gan.cli"],
)
def test_the_wire_imports_nothing_heavy(module):
    code = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert imported & HEAVY == set()


def test_payloads_are_coded_without_flwr():
    code = "import sys, flwr_gan.wire, flwr_gan.wire.stages; print('flwr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
