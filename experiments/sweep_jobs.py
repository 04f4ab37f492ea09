"""A job of a sweep: one run of the app, which may share its training with others.

Jobs that differ only in a lossless codec are trained once: every message is coded with each of the
codecs. The results of the other codecs are in ``also/<codec>`` of the run that trains, until their
jobs move them into their own folders.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.study.app_runs import finish_run, is_begun, is_finished, settings_of
from experiments.study.cases import StudyCase
from flwr_gan.app.compared import codec_folder as codec_folder
from flwr_gan.app.config import load_file
from flwr_gan.core.atomic import write_text
from flwr_gan.errors import CodecError
from flwr_gan.wire.codecs import get_codec

# Settings with which the bytes of a reply decide whether and when it counts.
_CLOSING = {"clock.deadline_s", "clock.over_selection"}
_ASYNCHRONOUS = ("fedasync", "fedbuff")
_CLIENT_S = 12.0  # processor time of a client of the main job


@dataclass
class Group:
    """Jobs with the same training, and the error of that training."""

    jobs: list["Job"] = field(default_factory=list)
    problem: Exception | None = None


@dataclass(eq=False)
class Job(StudyCase):
    """One run of a sweep."""

    overrides: tuple[str, ...]  # Hydra overrides
    values: dict[str, Any]  # the same, by key
    label: str  # the overrides that differ from those of the other jobs
    folder: Path  # where the run writes
    # the jobs with the same training, including this one
    group: Group = field(default_factory=Group, repr=False)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name

    @property
    def place(self) -> Mapping[str, Any]:
        """The values of its overrides."""
        return self.values

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Its values, and all settings that its results depend on."""
        return {"values": self.shown_values, "settings": settings_of(self.overrides)}

    @property
    def shown_values(self) -> Mapping[str, Any]:
        """The values of its overrides, as cells of a table."""
        plain = (str, int, float, bool)
        return {
            key: value if isinstance(value, plain) or value is None else str(value)
            for key, value in self.values.items()
        }

    @property
    def work_s(self) -> float:
        """Estimated processor seconds of the training, divided among the jobs that share it."""
        clients = self.values.get("federation.num_clients")
        known = clients if isinstance(clients, int) and clients > 0 else 5
        return _CLIENT_S * known / max(1, len(self.group.jobs))

    @property
    def training(self) -> tuple[str, ...]:
        """All overrides but the codec: jobs that share them and code losslessly train the same."""
        return tuple(text for text in self.overrides if text.partition("=")[0] != "codec")

    @property
    def codec(self) -> str | None:
        """The codec that the overrides name, None if there is none or it is unknown."""
        codec = self.values.get("codec")
        try:
            get_codec(codec)  # type: ignore[arg-type]
        except CodecError:
            return None
        return str(codec)

    @property
    def shares_training(self) -> bool:
        """Whether other codecs can be measured in the same training."""
        if self.values.get("strategy") in _ASYNCHRONOUS or not _CLOSING.isdisjoint(self.values):
            return False
        return self.codec is not None and get_codec(self.codec).lossless

    def measure(self, folder: Path) -> dict[str, Any]:
        """Finish the run: take over the results from another job's training, or train."""
        _ = self.settings  # raises an error if they are wrong
        self._take_over()
        while not is_finished(folder):
            if self.group.problem:
                raise self.group.problem
            leader = self._leader()
            fresh = [job for job in self.group.jobs if not is_begun(job.folder)]
            others = [job for job in fresh if job is not leader]
            quoted = ",".join(f"'{job.codec}'" for job in others)
            try:
                finish_run([*leader.overrides, f"also_codecs=[{quoted}]"], leader.folder)
            except CodecError:  # the error of one codec must not stop the others
                if leader is self:
                    raise
                self.group.jobs.remove(leader)
            except Exception as error:
                self.group.problem = error
                raise
            self._take_over()
        return {}

    def _leader(self) -> "Job":
        """Return the job to train: an interrupted one that includes this codec, or a new one.

        ``raw`` goes first: only ``raw`` keeps the sign of zeros, which other codecs do not need.
        """
        begun = [
            job for job in self.group.jobs if is_begun(job.folder) and not is_finished(job.folder)
        ]
        for job in begun:
            if job is self or self.codec in load_file(job.folder / "config.yaml").also_codecs:
                return job
        fresh = [job for job in self.group.jobs if not is_begun(job.folder)]
        return min(fresh, key=lambda job: job.codec != "raw")

    def _take_over(self) -> None:
        """Move the results of this codec out of the folder of the run that trained."""
        for job in self.group.jobs:
            source = codec_folder(job.folder, str(self.codec))
            if not (is_finished(job.folder) and is_finished(source)) or is_begun(self.folder):
                continue
            config = OmegaConf.load(source / "config.yaml")
            config.output_dir = str(self.folder)
            write_text(source / "config.yaml", OmegaConf.to_yaml(config))
            for path in source.iterdir():
                shutil.move(path, self.folder / path.name)
            source.rmdir()
            if not any(source.parent.iterdir()):
                source.parent.rmdir()


def share_trainings(jobs: Sequence[Job]) -> None:
    """Put jobs with the same training into one group."""
    groups: dict[object, Group] = {}
    for job in jobs:
        key = (job.training, "") if job.shares_training else (job.overrides, "alone")
        job.group = groups.setdefault(key, Group())
        job.group.jobs.append(job)
