"""Many runs, one after the other, and their results side by side.

::

    python -m experiments.sweep -m codec=zlib,lzma,bz2,zstd,sparse lottery.rate=0.1,0.2
    python -m experiments.sweep preset=full

Each job writes the files of a run to its own folder under ``sweep_dir``. Started again, the sweep
skips what is finished, resumes what was interrupted and tries again what failed. Jobs that differ
in nothing but a lossless codec are trained once: every message is coded with each of the codecs.
A lossless codec that is added to a finished sweep takes one training more. At the end there is a
table, a figure and a page of all results, ``report.html``; failed jobs are in it with their reason.
"""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from experiments.plan import Plan, make_plan
from experiments.preset import preset_about, preset_names
from experiments.report import report
from experiments.report.folders import add_command
from experiments.runner import Runner
from flwr_gan.app.config import load_config
from flwr_gan.app.overrides import config_dir
from flwr_gan.errors import ConfigError, FlwrGanError, OutputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when all jobs are finished, 1 when some failed, 2 when nothing could be started, 130
        when the sweep was interrupted.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    try:
        plan = make_plan(options.overrides, multirun=options.multirun)
        _configure_logging(verbose=plan.verbose)
        return _sweep(plan, given)
    except FlwrGanError as error:
        print(f"experiments.sweep: {error}", file=sys.stderr)
        return error.exit_status


def _sweep(plan: Plan, given: list[str]) -> int:
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {plan.folder}: {error.strerror}; choose another sweep_dir"
        ) from error
    add_command(plan.folder, shlex.join(["python", "-m", "experiments.sweep", *given]))
    runner = Runner(plan)

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="sweep")
    def job(config: DictConfig) -> None:
        number = HydraConfig.get().job.num if plan.multirun else 0
        runner.run(plan.jobs[number], config)

    print(f"{len(plan.jobs)} job(s); results go to {plan.folder}", flush=True)
    try:
        with _command_line([*(["--multirun"] if plan.multirun else []), *plan.arguments]):
            job()
    except (HydraException, OmegaConfBaseException) as error:
        _explain(plan)  # in the words of the settings themselves, where they are at fault
        raise ConfigError(" ".join(str(error).split())) from error
    except KeyboardInterrupt:
        if runner.outcomes:
            report(plan.folder)
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    report(plan.folder)
    if runner.failed:
        print(f"{len(runner.failed)} of {len(plan.jobs)} jobs failed", file=sys.stderr)
    return 1 if runner.failed else 0


def _explain(plan: Plan) -> None:
    """Raise the error of the first job whose settings cannot be composed."""
    for job in plan.jobs:
        load_config(job.overrides)


@contextmanager
def _command_line(arguments: list[str]) -> Iterator[None]:
    """Give Hydra its arguments, and let it raise what it would print."""
    argv, shown = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = [argv[0], *arguments], "1"
    try:
        yield
    finally:
        sys.argv = argv
        if shown is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = shown


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
        "Other keys: sweep_dir=DIR; hydra.verbose=true shows each round.\n\n"
        "A preset is a whole sweep (and needs no -m); keys beside it replace its own:\n"
        f"{presets}"
        "\nThe same command started again goes on with what is missing or has failed.\n"
        "table, figure and page of what is there: python -m experiments.report FOLDER\n"
    )


def _configure_logging(*, verbose: bool) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("    %(message)s"))
    for name in ("flwr_gan", "strategies"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO if verbose else logging.WARNING)
        logger.propagate = False
    logging.getLogger("flwr").setLevel(logging.ERROR)


if __name__ == "__main__":
    sys.exit(main())
