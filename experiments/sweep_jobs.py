"""A job of a sweep: one run of the app, which may share its training with others.

Jobs that differ in nothing but a lossless codec are trained once: every message is coded with each
of the codecs, and the results of the others lie in ``also/<codec>`` of the run that trains, until
their jobs move them into folders of their own.
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

# What lets the bytes of a reply decide whether and when it counts.
_CLOSING = {"clock.deadline_s", "clock.over_selection"}
_ASYNCHRONOUS = ("fedasync", "fedbuff")
_CLIENT_S = 12.0  # processor time of a client of the main job


@dataclass
class Group:
    """Jobs whose training is the same, and the error that it has met."""

    jobs: list["Job"] = field(default_factory=list)
    problem: Exception | None = None


@dataclass(eq=False)
class Job(StudyCase):
    """One run of a sweep."""

    overrides: tuple[str, ...]  # Hydra overrides
    values: dict[str, Any]  # what they set, key by key
    label: str  # those that tell it from the other jobs
    folder: Path  # where the run writes
    # the jobs whose training is the same, this one among them
    group: Group = field(default_factory=Group, repr=False)

    @property
    def name(self) -> str:
        """Name of its folder."""
        return self.folder.name

    @property
    def place(self) -> Mapping[str, Any]:
        """What its overrides set."""
        return self.values

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Its values, and all settings that its results depend on."""
        return {"values": self.shown_values, "settings": settings_of(self.overrides)}

    @property
    def shown_values(self) -> Mapping[str, Any]:
        """What its overrides set, as cells of a table."""
        plain = (str, int, float, bool)
        return {
            key: value if isinstance(value, plain) or value is None else str(value)
            for key, value in self.values.items()
        }

    @property
    def work_s(self) -> float:
        """A training is taken to last as long as the main job, for each of its clients."""
        clients = self.values.get("federation.num_clients")
        known = clients if isinstance(clients, int) and clients > 0 else 5
        return _CLIENT_S * known / max(1, len(self.group.jobs))

    @property
    def training(self) -> tuple[str, ...]:
        """All overrides but the codec: jobs that share them and code losslessly train the same."""
        return tuple(text for text in self.overrides if text.partition("=")[0] != "codec")

    @property
    def codec(self) -> str | None:
        """The codec that the overrides name, None where they name none or none that is known."""
        codec = self.values.get("codec")
        try:
            get_codec(codec)  # type: ignore[arg-type]
        except CodecError:
            return None
        return str(codec)

    @property
    def shares_training(self) -> bool:
        """Whether the codec is one that other codecs can be measured beside."""
        if self.values.get("strategy") in _ASYNCHRONOUS or not _CLOSING.isdisjoint(self.values):
            return False
        return self.codec is not None and get_codec(self.codec).lossless

    def measure(self, folder: Path) -> dict[str, Any]:
        """Bring the run to its end: take over what another job has left, or train."""
        _ = self.settings  # raises what is wrong with them
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
            except CodecError:  # what one codec cannot do is its own affair
                if leader is self:
                    raise
                self.group.jobs.remove(leader)
            except Exception as error:
                self.group.problem = error
                raise
            self._take_over()
        return {}

    def _leader(self) -> "Job":
        """Return the job to train: one that was interrupted and serves this one, or a fresh one.

        ``raw`` alone keeps the sign of zeros, which the others can do without: it goes first.
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
