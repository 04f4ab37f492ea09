"""Options of the benchmark of updates, which are its own until it stands on ``study``."""

import argparse
import sys
from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import TypeVar

from experiments.study.options import called, run_command, whole_numbers, words

__all__ = ["add_places", "add_presets", "called", "places", "run_command", "run_study",
           "whole_numbers", "words"]  # fmt: skip
Parts = TypeVar("Parts", bound=Sized)


def run_study(
    name: str,
    options: argparse.Namespace,
    make: Callable[[argparse.Namespace], Parts],
    *,
    run: Callable[[Parts], int],
    write: Callable[[Parts], Iterable[Path]],
    failures: str = "runs failed; see above",
) -> int:
    """Run what is not finished, write the results and print their paths; return the exit status.

    Parameters
    ----------
    name : str
        Of the command, in front of errors.
    options : argparse.Namespace
        With ``report``, which is True to run nothing.
    make : callable
        Checks the options and returns the parts of the study.
    run : callable
        Runs the parts; returns how many of them failed.
    write : callable
        Writes the results of the parts; yields the paths.
    failures : str
        What is said behind the number of parts that failed.
    """

    def work() -> int:
        parts = make(options)
        failed = 0 if options.report else run(parts)
        for path in write(parts):
            print(path)
        if failed:
            print(f"{failed} of {len(parts)} {failures}", file=sys.stderr)
        return 1 if failed else 0

    return run_command(name, work)


def add_presets(
    parser: argparse.ArgumentParser, *, short: str = "seconds; to try it", full: str | None = None
) -> None:
    """Add ``--short`` and, if there is a text for it, ``--full``; they set ``preset``."""
    preset = parser.add_mutually_exclusive_group()
    for name, text in (("short", short), ("full", full)):
        if text is not None:
            preset.add_argument(
                f"--{name}", dest="preset", action="store_const", const=name, help=text
            )
    parser.set_defaults(preset="default")


def add_places(
    parser: argparse.ArgumentParser, folder: Path, *, of: str = "runs", shown: str, verb: str
) -> None:
    """Add ``--folder`` of what is run, ``--results`` of what is ``shown``, and ``--report``."""
    parser.add_argument("--folder", type=Path, help=f"of the {of}; default: {folder}")
    parser.add_argument("--results", type=Path, help=f"of {shown}")
    parser.add_argument("--report", action="store_true", help=f"{verb} nothing, write the results")


def places(
    options: argparse.Namespace, folder: Path, results: Path, *, partial: bool = False
) -> tuple[Path, Path]:
    """Return the folders of runs and results, by default those that belong to the preset.

    Parameters
    ----------
    options : argparse.Namespace
        With ``preset``, and with ``folder`` and ``results``, which are None where not given.
    folder : Path
        Of the default preset's runs; other presets have theirs beside it.
    results : Path
        Of the default preset.
    partial : bool
        True where less than the whole preset is run: its results stay with the runs.
    """
    other = options.preset != "default"
    runs = options.folder or (folder.with_name(f"{folder.name}_{options.preset}") if other
                              else folder)  # fmt: skip
    return runs, options.results or (runs / "results" if other or partial else results)
