"""Runs the jobs of a plan one by one: skips what is done, resumes what was interrupted, goes on."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from experiments.job_state import (
    JobRecord,
    adopt_twin,
    check_settings,
    is_begun,
    is_finished,
    plain_settings,
)
from experiments.plan import Job, Plan
from experiments.results_table import write_results
from flwr_gan.app.config import load_file
from flwr_gan.client_app import app as client_app
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import CodecError, FlwrGanError, OutputError
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import clients_at_once, prepare_run_config, run_together

log = getLogger("flwr_gan.experiments")


def train(overrides: list[str]) -> None:
    """Do one run, on the path of ``flower-simulation`` with its inline engine."""
    with _hydra_set_aside():
        run_config, num_clients = prepare_run_config(" ".join(overrides), None)
        run_apps(
            server_app,
            client_app,
            num_supernodes=num_clients,
            run_config=run_config,
            clients_at_once=clients_at_once(run_config),
            run_together=run_together,
        )


@contextmanager
def _hydra_set_aside() -> Iterator[None]:
    """Let a run compose its own config inside a Hydra job; Hydra takes one at a time."""
    hydra = GlobalHydra.instance()
    outer, hydra.hydra = hydra.hydra, None
    try:
        yield
    finally:
        hydra.hydra = outer


@dataclass
class Runner:
    """The state of a sweep while it goes on.

    Parameters
    ----------
    plan : Plan
        All jobs.
    """

    plan: Plan
    outcomes: dict[Path, JobRecord] = field(default_factory=dict)
    trained: list[tuple[int, float]] = field(default_factory=list)  # clients and seconds of each
    began_s: float = field(default_factory=time.perf_counter)

    def run(self, job: Job, config: DictConfig) -> None:
        """Bring a job to its end, and with it those that share its training.

        Parameters
        ----------
        job : Job
            A job of the plan.
        config : DictConfig
            Its settings, as Hydra has composed them.
        """
        print(f"[{self._number(job)}/{len(self.plan.jobs)}] {job.label or 'defaults'}", flush=True)
        began, how = time.perf_counter(), "finished with the training that it shares"
        if job.folder not in self.outcomes:
            try:
                how = self._settle(job, plain_settings(config))
            except Exception as error:  # one failed job does not end the sweep
                self._fail(job, error)
        self._report(job, time.perf_counter() - began, how)
        write_results(self.plan.folder)

    @property
    def failed(self) -> list[Job]:
        """The jobs that did not come to a good end."""
        return [
            job
            for job in self.plan.jobs
            if job.folder in self.outcomes and self.outcomes[job.folder].status == "failed"
        ]

    def _settle(self, job: Job, settings: dict[str, Any]) -> str:
        """Skip, adopt or train a job; return which of them it was."""
        kin = self._kin(job)
        for other in kin:
            adopt_twin(other.folder, str(job.codec), job.folder)
        if is_begun(job.folder):
            check_settings(job.folder, settings)
        if is_finished(job.folder):
            self._finish(job)
            return "finished before: skipped"
        self._train_for(job, kin, settings)
        return "finished"

    def _train_for(self, job: Job, kin: list[Job], settings: dict[str, Any]) -> None:
        """Train once for a job and those of its kin that wait for the same training."""
        waiting = [
            other
            for other in (job, *kin)
            if not is_finished(other.folder) and other.folder not in self.outcomes
        ]
        fresh = [other for other in waiting if not is_begun(other.folder)]
        leader = self._interrupted(job, waiting)
        if leader is not None:
            codec = {} if leader is job else {"codec": leader.codec}
            check_settings(leader.folder, settings | codec)
            compared = load_file(leader.folder / "config.yaml").also_codecs
            others = [other for other in fresh if other.codec in compared]
            overrides = [f"resume={leader.folder}"]
        else:
            # `raw` alone keeps the sign of zeros, which the others can do without: it goes first.
            leader = min(fresh, key=lambda other: other.codec != "raw")
            others = [other for other in fresh if other is not leader]
            quoted = ",".join(f"'{other.codec}'" for other in others)
            overrides = [
                *leader.overrides,
                f"output_dir={leader.folder}",
                f"also_codecs=[{quoted}]",
            ]
        self._write(leader, JobRecord(self._number(leader), leader.values, "unfinished"))
        began = time.perf_counter()
        try:
            train(overrides)
            if not is_finished(leader.folder):
                raise OutputError(f"the run ended without {leader.folder / 'summary.json'}")
        except Exception as error:  # one failed job does not end the sweep, whatever it met
            self._fail(leader, error)
            # What one codec cannot do is its own affair; any other failure is of the training.
            for other in [] if isinstance(error, CodecError) else others:
                self._fail(other, error)
        else:
            self.trained.append((_clients(leader), time.perf_counter() - began))
            self._finish(leader)
            for other in others:
                adopt_twin(leader.folder, str(other.codec), other.folder)
                if is_finished(other.folder):
                    self._finish(other)
        if job.folder not in self.outcomes:
            self._train_for(job, [], settings)

    def _interrupted(self, job: Job, waiting: list[Job]) -> Job | None:
        """Return the job to resume: `job` itself, or one whose messages it codes as well."""
        for other in waiting:
            if is_begun(other.folder) and (
                other is job or job.codec in load_file(other.folder / "config.yaml").also_codecs
            ):
                return other
        return None

    def _kin(self, job: Job) -> list[Job]:
        """Return the other jobs that the training of a job could stand for."""
        if not job.shares_training:
            return []
        return [
            other
            for other in self.plan.jobs
            if other is not job and other.training == job.training and other.shares_training
        ]

    def _number(self, job: Job) -> int:
        return self.plan.jobs.index(job) + 1

    def _finish(self, job: Job) -> None:
        entry = JobRecord(self._number(job), job.values, "finished")
        entry.write(job.folder)
        self.outcomes[job.folder] = entry

    def _fail(self, job: Job, error: Exception) -> None:
        """Note why a job failed, and the way there where it is not an error made on purpose."""
        text = " ".join(str(error).split())
        expected = isinstance(error, FlwrGanError)
        reason = text if expected else f"{type(error).__name__}: {text}"
        entry = JobRecord(self._number(job), job.values, "failed", reason)
        self.outcomes[job.folder] = entry
        self._write(job, entry)
        if not expected:
            log.warning("%s", "".join(traceback.format_exception(error)))

    def _write(self, job: Job, entry: JobRecord) -> None:
        try:
            entry.write(job.folder)
        except OutputError as error:  # the job says so itself, when it comes to write results
            log.warning("%s", error)

    def _report(self, job: Job, seconds: float, how: str) -> None:
        outcome = self.outcomes[job.folder]
        text = f"failed: {outcome.reason}" if outcome.status == "failed" else how
        done = sum(map(self._is_done, self.plan.jobs))
        parts = [f"{done} of {len(self.plan.jobs)} done"]
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        parts += [f"{_duration(time.perf_counter() - self.began_s)} elapsed"]
        left = self._left_s()
        parts += [] if left is None else [f"about {_duration(left)} left"]
        print(f"    {text} ({_duration(seconds)}) | {', '.join(parts)}", flush=True)

    def _is_done(self, job: Job) -> bool:
        return job.folder in self.outcomes or is_finished(job.folder)

    def _left_s(self) -> float | None:
        """Return an estimate of the seconds that the rest takes, None where there is no rest.

        A training is taken to be as long as it has clients.
        """
        waiting = [job for job in self.plan.jobs if not self._is_done(job)]
        trainings = {
            (job.training, None if job.shares_training else job.folder): _clients(job)
            for job in waiting
        }
        if not trainings or not self.trained:
            return None
        clients, seconds = map(sum, zip(*self.trained, strict=True))
        return float(sum(trainings.values()) * seconds / clients)


def _clients(job: Job) -> int:
    """Return how many clients a job names, 1 where it leaves that to the defaults."""
    clients = job.values.get("federation.num_clients")
    return clients if isinstance(clients, int) and clients > 0 else 1


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
