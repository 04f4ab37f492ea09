"""Crash processes of machines, and check whether a run's ledger is complete afterwards."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from experiments.deployment.machines import Machine


def processes(machine: Machine, name: str) -> list[psutil.Process]:
    """Return the live processes with this name that a machine has started."""
    return [
        process
        for process in _started(machine)
        if _asked(process, psutil.Process.name) == name and not _is_zombie(process)
    ]


def crash(machine: Machine) -> None:
    """Kill a machine and all processes that it has started, at once."""
    for process in [psutil.Process(machine.process.pid), *_started(machine)]:
        _asked(process, psutil.Process.kill)
    machine.process.wait()


def zombies(machine: Machine) -> int:
    """Return the number of zombie processes of a machine."""
    return sum(map(_is_zombie, _started(machine)))


def complete_ledger(folder: Path) -> bool:
    """Return whether the rounds have no gap and a row for each accepted reply."""
    messages, rounds = (pd.read_csv(folder / f"{name}.csv") for name in ("messages", "rounds"))
    replies = messages[(messages["kind"] == "train") & (messages["direction"] == "up")]
    counted = replies.groupby("round").size().to_dict()
    booked = rounds.set_index("round")["clients"].to_dict()
    return list(booked) == list(range(1, len(booked) + 1)) and bool(counted == booked)


def _started(machine: Machine) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(machine.process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return found


def _is_zombie(process: psutil.Process) -> bool:
    return bool(_asked(process, psutil.Process.status) == psutil.STATUS_ZOMBIE)


def _asked(process: psutil.Process, what: Callable[[psutil.Process], Any]) -> Any:
    """Return the answer of a process, None if there is no such process any more."""
    try:
        return what(process)
    except psutil.NoSuchProcess:
        return None
