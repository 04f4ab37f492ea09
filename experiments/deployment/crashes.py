"""Crash processes of machines, and check whether a run's ledger is complete afterwards."""

from pathlib import Path

import pandas as pd
import psutil

from experiments.deployment.machines import Machine


def processes(machine: Machine, name: str) -> list[psutil.Process]:
    """Return the live processes with this name that a machine has started."""
    return [process for process in _started(machine) if _is(process, name)]


def crash(machine: Machine) -> None:
    """Kill a machine and all processes that it has started, at once."""
    for process in [psutil.Process(machine.process.pid), *_started(machine)]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    machine.process.wait()


def zombies(machine: Machine) -> int:
    """Return the number of zombie processes of a machine."""
    return sum(_has_ended(process) for process in _started(machine))


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


def _is(process: psutil.Process, name: str) -> bool:
    try:
        return bool(process.name() == name) and not _has_ended(process)
    except psutil.NoSuchProcess:
        return False


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
