"""Nodes behind separate links: network namespaces with ``tc`` limits at both ends."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from flwr_gan.errors import TrainingError

BURST = "16kb"


def why_not() -> str | None:
    """Return the reason why network namespaces cannot be created here; None if they can."""
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "ip and tc are not installed (iproute2)"
    try:
        with namespace("probe", 250, mbit_s=100):
            return None
    except TrainingError as error:
        return str(error)


@contextmanager
def namespace(name: str, number: int, *, mbit_s: float) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Make a namespace whose link to this machine has a given speed in each direction.

    Yields the address of this machine in the namespace, and the prefix of commands that run there.
    `number` distinguishes namespaces. Raises ``TrainingError``.
    """
    place = (os.getpid() + number) % 250  # different from those of other commands
    own, link = f"fgan{place}_{name}", f"fgan{place}"
    here, there = f"10.77.{place}.1", f"10.77.{place}.2"
    rate = ("root", "tbf", "rate", f"{mbit_s:g}mbit", "burst", BURST, "latency", "2s")
    try:
        _run("ip", "netns", "add", own)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "up0", "netns", own)
        _run("ip", "addr", "add", f"{here}/24", "dev", link)
        _run("ip", "link", "set", link, "up")
        _run("ip", "-n", own, "addr", "add", f"{there}/24", "dev", "up0")
        for device in ("lo", "up0"):
            _run("ip", "-n", own, "link", "set", device, "up")
        _run("tc", "qdisc", "add", "dev", link, *rate)
        _run("tc", "-n", own, "qdisc", "add", "dev", "up0", *rate)
        yield here, ("ip", "netns", "exec", own)
    finally:
        for command in (("ip", "netns", "del", own), ("ip", "link", "del", link)):
            with suppress(TrainingError):
                _run(*command)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrainingError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
