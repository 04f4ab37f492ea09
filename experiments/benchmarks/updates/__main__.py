"""Quality against bytes of compressed updates, beside plain Flower and other ways to code them.

::

    python -m experiments.benchmarks.updates            # all that is committed here
    python -m experiments.benchmarks.updates --short    # seconds; results in runs/
    python -m experiments.benchmarks.updates --report   # tables and picture alone
    python -m experiments.benchmarks.updates --cost     # what encoding takes
    python -m experiments.benchmarks.updates --task gan_digits,classifier --seeds 0,1

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.benchmarks.output import RESULTS
from experiments.benchmarks.updates.compared import TASKS, all_cases
from experiments.benchmarks.updates.results import write_costs, write_results
from experiments.study.cases import run_cases
from experiments.study.options import called, run_command, whole_numbers, words

FOLDER, SHORT_FOLDER = Path("runs/updates"), Path("runs/updates_short")
_PROGRAM = "python -m experiments.benchmarks.updates"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    return run_command("updates", lambda: _run(options, called(_PROGRAM, arguments)))


def _run(options: argparse.Namespace, command: str) -> int:
    folder = options.folder or (SHORT_FOLDER if options.short else FOLDER)
    partial = any((options.short, options.task, options.seeds, options.folder))
    results = options.results or (folder / "results" if partial else RESULTS)
    if options.cost:
        for path in write_costs(results, short=options.short, command=command):
            print(path)
        return 0
    preset = "short" if options.short else "default"
    seeds = whole_numbers("--seeds", words(options.seeds)) or ((0,) if options.short else (0, 1, 2))
    cases = list(all_cases(preset, seeds=seeds, tasks=words(options.task)))
    failed = 0 if options.report else run_cases(cases, folder, shown=("quality", "megabytes"))
    for path in write_results(cases, folder, results, command=command):
        print(path)
    if failed:
        print(f"{failed} of {len(cases)} runs failed; see above", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Quality against bytes of updates.")
    parser.add_argument("--short", action="store_true", help="seconds; to try it")
    parser.add_argument("--task", metavar="NAME,NAME", help=", ".join(TASKS))
    parser.add_argument("--seeds", metavar="N,N", help="default: 0,1,2")
    parser.add_argument("--cost", action="store_true", help="measure what encoding takes instead")
    parser.add_argument("--folder", type=Path, help=f"of the runs; default: {FOLDER}")
    parser.add_argument("--results", type=Path, help="of tables and picture")
    parser.add_argument("--report", action="store_true", help="run nothing, write the results")
    return parser


if __name__ == "__main__":
    sys.exit(main())
