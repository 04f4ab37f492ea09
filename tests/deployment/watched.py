"""What tests on real processes need: to follow a run, to find a process, to wait for something."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil

from experiments.deployment.crashes import processes
from experiments.deployment.machines import ROOT, Machine, Machines

TINY = (
    "strategy=fedavg codec=sparse:int8 partition=iid evaluation=none gan.local_iterations=2 "
    "gan.channels=[8,8] gan.critic_hidden=[8,8] gan.batch_size=8 gan.critic_iterations=1 "
    "samples_per_class=20"
)
TORCH_BYTES = 250 * 2**20
SLOW_S = 600.0  # a fresh Python with torch takes up to a minute on a machine that is busy


class Followed:
    """A submitted run, and what its server app has said so far."""

    def __init__(self, machines: Machines, overrides: str) -> None:
        self.machines = machines
        self.run_id = machines.submit(ROOT, {"overrides": overrides})
        self.lines: list[str] = []
        self.ended = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        for line in self.machines.lines(self.run_id):
            self.lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line))
        self.ended = True

    @property
    def said(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def wait_for(self, text: str, *, timeout_s: float = SLOW_S) -> None:
        """Wait until the run says so; fail where it ends without."""
        until(lambda: text in self.said or self.ended, what=text, timeout_s=timeout_s)
        assert text in self.said, self.said

    def end(self, *, timeout_s: float = SLOW_S) -> str:
        """Wait for the end of the run; return its status."""
        until(lambda: self.ended, what=f"the end of {self.said}", timeout_s=timeout_s)
        return self.machines.wait(self.run_id, timeout_s=60)


def until(condition: Callable[[], object], *, what: str, timeout_s: float = SLOW_S) -> None:
    """Wait until a condition holds; fail after some time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"after {timeout_s:g} s still not: {what}"
        time.sleep(0.02)


def kill(machine: Machine, name: str) -> None:
    """Kill the processes of this name that a machine has started; wait until there is one."""
    until(lambda: processes(machine, name), what=f"{name} of {machine.name}")
    for process in processes(machine, name):
        process.kill()


def rounds(folder: Path) -> pd.DataFrame:
    """Return the rounds that a run has booked."""
    return pd.read_csv(folder / "rounds.csv")


def training(machine: Machine) -> psutil.Process:
    """Wait for a client app that has begun, with torch in memory; return its process.

    One that is killed before it has taken its message is started again by Flower.
    """
    found: list[psutil.Process] = []

    def begun() -> bool:
        apps = processes(machine, "flwr-clientapp")
        found[:] = [app for app in apps if app.memory_info().rss > TORCH_BYTES]
        return bool(found)

    until(begun, what=f"training at {machine.name}")
    return found[0]
