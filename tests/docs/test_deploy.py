"""The commands of docs/deploy.md, run as they stand on this machine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.deployment.machines import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deploy.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.slow


def script():
    """Return the page's commands, for a server at a free port of this machine."""
    text = "".join(BLOCK.findall(PAGE.read_text()))
    ports = [free_port() for _ in range(4)]
    changes = {
        "SERVER=server.example": "SERVER=127.0.0.1",
        "subjectAltName=DNS:": "subjectAltName=IP:",
        "--port 8000": f"--port {ports[0]}",
        "$SERVER:8000": f"$SERVER:{ports[0]}",
        "800$((id + 1))": f"$(echo {' '.join(map(str, ports[1:]))} | cut -d' ' -f$((id + 1)))",
    }
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return f"set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{text}"


def test_the_commands_of_the_page_run_a_federation_of_three_machines(tmp_path):
    environment = os.environ | {
        "CHECKOUT": str(ROOT),
        "FLWR_HOME": str(tmp_path / "home"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["bash", "-c", script()],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for line in (f"results: {tmp_path}/run", "client 2 is node", "round   2/2"):
        assert line in done.stdout, said
    (runs,) = [json.loads(done.stdout[at:]) for at in [done.stdout.rindex('{\n  "success"')]]
    assert [run["status"] for run in runs["runs"]] == ["finished:completed"]
    assert json.loads((tmp_path / "run/summary.json").read_text())["rounds"] == 2
