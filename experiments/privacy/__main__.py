"""Quality, bytes and membership inference against epsilon, on clients with uneven data.

::

    python -m experiments.privacy                 # all that is committed here
    python -m experiments.privacy --short         # seconds; results in runs/
    python -m experiments.privacy --report        # tables and picture alone
    python -m experiments.privacy --data digits --epsilons none,10 --seeds 3,4

A finished run is never done again; the same command goes on where it was stopped.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.privacy.results import RESULTS, write_results
from experiments.privacy.setting import grid
from experiments.privacy.study import run_cases
from flwr_gan.errors import ConfigError, FlwrGanError

FOLDER = Path("runs/privacy")
_PROGRAM = "python -m experiments.privacy"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished and write the results; return the exit status."""
    options = _parser().parse_args(arguments)
    command = " ".join([_PROGRAM, *(sys.argv[1:] if arguments is None else arguments)])
    folder = options.folder or (FOLDER.with_name("privacy_short") if options.short else FOLDER)
    part = (options.short, options.seeds, options.data, options.epsilons, options.folder)
    results = options.results or (folder / "results" if any(part) else RESULTS)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    failed = 0
    try:
        cases = list(
            grid(
                "short" if options.short else "default",
                seeds=_numbers(options.seeds or ("0" if options.short else "0,1,2")),
                data=_words(options.data),
                epsilons=_words(options.epsilons),
            )
        )
        if not options.report:
            failed = run_cases(cases, folder)
        for path in write_results(cases, folder, results, command=command):
            print(path)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except FlwrGanError as error:
        print(f"privacy: {error}", file=sys.stderr)
        return error.exit_status
    if failed:
        print(f"{failed} of {len(cases)} runs failed; see above", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Quality and bytes by epsilon.")
    parser.add_argument("--short", action="store_true", help="seconds; to try it")
    parser.add_argument("--seeds", metavar="N,N", help="default: 0,1,2")
    parser.add_argument("--data", metavar="NAME,NAME", help="digits, pendigits")
    parser.add_argument("--epsilons", metavar="E,E", help="numbers, none, none_longer")
    parser.add_argument("--folder", type=Path, help=f"of the runs; default: {FOLDER}")
    parser.add_argument("--results", type=Path, help="of tables and picture")
    parser.add_argument("--report", action="store_true", help="run nothing, write the results")
    return parser


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (text or "").split(",")))


def _numbers(text: str) -> tuple[int, ...]:
    words = _words(text)
    for word in words:
        if not word.isdecimal():
            raise ConfigError(f"--seeds {word} is not allowed: give whole numbers from 0")
    return tuple(map(int, words))


if __name__ == "__main__":
    sys.exit(main())
