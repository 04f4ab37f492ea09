"""Many runs, one after the other, and a comparison of their results.

::

    python -m experiments.sweep -m codec=zlib,lzma,bz2,zstd,sparse lottery.rate=0.1,0.2
    python -m experiments.sweep preset=full

Each job writes the files of a run to its own folder under ``sweep_dir``. If the sweep is started
again, it skips finished jobs, resumes interrupted ones and repeats failed ones. Jobs that differ
only in a lossless codec are trained once: every message is coded with each of the codecs. A
lossless codec that is added to a finished sweep takes one more training. At the end the sweep
writes a table, a figure and a page, ``report.html``, which names failed jobs with their reason.
"""

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.plan import make_plan, preset_about, preset_names
from experiments.report.__main__ import report
from experiments.report.folders import add_command
from experiments.results_table import ORDER, read_order
from experiments.study.app_runs import is_begun
from experiments.study.cases import CASE, run_case, run_cases
from experiments.study.options import run_command
from experiments.study.results import write_json
from experiments.sweep_jobs import Job
from flwr_gan.core.atomic import write_text
from flwr_gan.core.logs import log_to_stdout
from flwr_gan.errors import FlwrGanError, OutputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all jobs finished, 1 if some failed, 2 if none could start."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    return run_command("experiments.sweep", lambda: _sweep(options, given))


def _sweep(options: argparse.Namespace, given: list[str]) -> int:
    plan = make_plan(options.overrides, multirun=options.multirun)
    log_to_stdout(logging.INFO if plan.verbose else logging.WARNING, form="    %(message)s")
    logging.getLogger("flwr").setLevel(logging.ERROR)
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {plan.folder}: {error.strerror}; choose another sweep_dir"
        ) from error
    usable = [job for job in plan.jobs if _is_usable(job, plan.folder)]
    if not usable:
        _ = plan.jobs[0].settings  # raises an error if they are wrong
    add_command(plan.folder, shlex.join(["python", "-m", "experiments.sweep", *given]))
    order = [job.name for job in plan.jobs]
    write_text(plan.folder / ORDER, "\n".join(dict.fromkeys([*order, *read_order(plan.folder)])))
    print(f"{len(plan.jobs)} job(s); results go to {plan.folder}", flush=True)
    wrong = len(plan.jobs) - len(usable)
    try:
        failed = wrong + run_cases(usable, plan.folder)
    except KeyboardInterrupt:
        if any(is_begun(job.folder) for job in usable):
            report(plan.folder)
        raise
    report(plan.folder)
    if failed:
        print(f"{failed} of {len(plan.jobs)} jobs failed", file=sys.stderr)
    return 1 if failed else 0


def _is_usable(job: Job, folder: Path) -> bool:
    """Return whether the settings of a job are valid; print and record an invalid one."""
    claim = folder / job.name / CASE
    try:
        if claim.exists() and "settings" not in json.loads(claim.read_text(encoding="utf-8")):
            claim.unlink()  # its settings were wrong before
        _ = job.settings
    except FlwrGanError as error:
        print(f"{job.label}: {error}", flush=True)
        write_json({"values": job.shown_values}, claim)
        run_case(job, folder)
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.sweep",
        description="Run the app once for each combination of settings.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-m", "--multirun", action="store_true", help="keys may have several values"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=V1,V2", help="settings of conf/")
    return parser


def _epilog() -> str:
    presets = "".join(f"  preset={name:8} {preset_about(name)}\n" for name in preset_names())
    return (
        "Other keys: sweep_dir=DIR; seeds=5 for seed=0,1,2,3,4; hydra.verbose=true shows each "
        "round.\n\n"
        "A preset is a whole sweep (and needs no -m); keys beside it replace its own:\n"
        f"{presets}"
        "\nThe same command started again goes on with what is missing or has failed.\n"
        "table, figure and page of what is there: python -m experiments.report FOLDER\n"
    )


if __name__ == "__main__":
    sys.exit(main())
