"""One run on the server: records its rounds and writes the output folder."""

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

import pandas as pd
from flwr.common import NDArrays, Parameters, ndarrays_to_parameters, parameters_to_ndarrays
from numpy.typing import NDArray

from flwr_gan.app.checkpoint import Checkpoint
from flwr_gan.app.compared import write_compared
from flwr_gan.app.federation import Federation
from flwr_gan.app.loggers import Logger, open_logger
from flwr_gan.app.run_config import target_of
from flwr_gan.app.summary import closing_lines, measured, progress_line, summarise, write_summary
from flwr_gan.app.timing import RunClock
from flwr_gan.core.atomic import write_text
from flwr_gan.data.partition import class_counts
from flwr_gan.errors import TrainingError
from flwr_gan.flower.strategy import CompressedStrategy
from flwr_gan.plots import (
    client_times_figure,
    continual_figure,
    partition_picture,
    rounds_figure,
    save_figure,
    virtual_time_figure,
)
from flwr_gan.privacy import spending_row
from flwr_gan.wire import Template, describe_payload, save
from flwr_gan.wire.ledger import ALL_COLUMNS, CHECKSUM_COLUMNS, COLUMNS, Ledger
from flwr_gan.wire.stages.schedule import Schedule

log = getLogger(__name__)

SPENDING = "privacy.csv"  # one row per client and round, with private training


@dataclass
class Run:
    """The result files of one run, from a strategy whose ledger holds the messages.

    `trained_by` is the folder of the run whose training this one shares, if it did not train.
    """

    federation: Federation
    strategy: CompressedStrategy
    num_rounds: int
    rounds: list[dict[str, Any]] = field(default_factory=list)
    earlier_s: float = 0.0
    trained_by: str | None = None
    clock: RunClock | None = None
    own_data: bool = False  # nodes have their own data, unknown to the server

    def __post_init__(self) -> None:
        self.config = self.federation.config
        self.folder = self.config.folder
        self.scorer = self.federation.scorer(self.strategy.inner)
        self.spending: list[dict[str, Any]] = []
        self._logger: Logger | None = None
        self._started = time.perf_counter()

    def open(self) -> Parameters | None:
        """Write the files known before training; return the parameters to resume from, if any.

        Raises ``OutputError`` when the output folder cannot be written, or a checkpoint cannot be
        read.
        """
        self.scorer.check()
        write_text(self.folder / "config.yaml", self.config.to_yaml())
        data = self.federation.dataset
        split = self.federation.split
        if not self.own_data:
            counts_PK = class_counts(data.train.y_N, split, num_classes=data.num_classes)
            title = f"{data.name}: who holds what"
            picture = partition_picture(counts_PK, data.class_names, title=title)
            save_figure(picture, self.folder / "partition.png")
        if self.config.resume is None:
            return None
        checkpoint = Checkpoint.read(self.folder)
        if checkpoint is None:
            log.info("nothing was finished in %s: starting from the first round", self.folder)
            return None
        self.rounds = checkpoint.rounds
        self.spending = checkpoint.spending
        if self.clock is not None and checkpoint.clock:
            self.clock.clock.load_state_dict(checkpoint.clock)
        self.strategy.exchange.load_state_dict(checkpoint.memory)
        self.strategy.exchange.books.ledger = checkpoint.ledgers[""]
        for codec, ledger in self.strategy.comparison.ledgers.items():
            ledger.rows[:] = checkpoint.ledgers[codec].rows
        self.earlier_s = checkpoint.seconds
        if checkpoint.strategy:
            self.strategy.inner.load_state_dict(checkpoint.strategy)  # type: ignore[attr-defined]
        if self.first_round > self.num_rounds and not (self.folder / "summary.json").exists():
            self.close(checkpoint.parameters)  # interrupted after its last round
        return ndarrays_to_parameters(checkpoint.parameters)

    @property
    def first_round(self) -> int:
        """The round after the last finished one."""
        return len(self.rounds) + 1

    @property
    def seconds(self) -> float:
        """Wall time so far, including interrupted parts up to their last checkpoint."""
        return self.earlier_s + time.perf_counter() - self._started

    def require_reply(self, server_round: int) -> None:
        """Raise ``TrainingError`` unless the strategy has accepted a reply in this round.

        A round without one fails: the run ends and can be resumed after the previous round.
        """
        late = self.clock is not None and self.clock.late
        if late or self.strategy.exchange.books.trained_in == server_round:
            return
        reasons = self.strategy.failures.get(server_round) or ["no client was sampled"]
        kept = f"; {server_round - 1} rounds are kept: resume={self.folder}"
        raise TrainingError(
            f"no client delivered anything in round {server_round}: {reasons[0]}"
            f"{kept if server_round > 1 else ''}"
        )

    def on_round(
        self,
        server_round: int,
        parameters: Parameters,
        metrics: Mapping[str, Any],
        seconds: float,
    ) -> Callable[[], None]:
        """Record a finished round; return a function with the remaining work.

        That function scores the round and writes its rows and a checkpoint. If ``may_run_ahead``
        is true, it reads nothing that the next round changes.
        """
        begun = time.perf_counter()
        weights = parameters_to_ndarrays(parameters)
        own: Mapping[str, Any] = getattr(self.strategy.inner, "round_measures", {})
        row = measured(self.strategy, server_round) | dict(metrics) | dict(own)
        row |= {} if self.clock is None else self.clock.row()
        rows = [spending_row(server_round, int(r.label), r.metrics) for r in self.strategy.latest]
        self.spending += [spent for spent in rows if spent is not None]
        checkpoint = self._checkpoint(weights)
        seconds += time.perf_counter() - begun
        return lambda: self._finish_round(server_round, row, checkpoint, seconds)

    @property
    def may_run_ahead(self) -> bool:
        """True if a round's score needs only its weights, so that the next round may start."""
        names = ("sample", "held_classes", "known_classes", "student_arrays")
        return self.federation.drift is None and not any(
            hasattr(self.strategy.inner, name) for name in names
        )

    def _finish_round(
        self, server_round: int, row: dict[str, Any], checkpoint: Checkpoint, seconds: float
    ) -> None:
        begun = time.perf_counter()
        weights = checkpoint.parameters
        row |= self.scorer.score(server_round, weights, self.rounds)
        row["wall_s"] = seconds + time.perf_counter() - begun
        self.rounds.append(row)
        last = server_round == self.num_rounds
        if last:
            self.save_models(weights)  # before the checkpoint, which ends the last round
        self._log_rounds()  # before the checkpoint: a resumed run logs it again
        self.write_state(checkpoint)
        line = progress_line(row, num_rounds=self.num_rounds, seconds=self.seconds)
        log.info("%s", line)
        if last:
            self.close(weights)

    def close(self, weights: NDArrays) -> None:
        """Write the results of the finished run; the summary comes last.

        Raises ``TrainingError`` when the replies of every round were late.
        """
        if not any(row["clients"] for row in self.rounds) and self.rounds[-1].get("late"):
            raise TrainingError(
                f"no client delivered anything in {len(self.rounds)} rounds: every reply was late: "
                "raise clock.deadline_s"
            )
        self.write_progress(weights)
        uploads = None if self.own_data else self.folder / self.federation.models
        found = self.scorer.last(weights, server_round=len(self.rounds), uploads=uploads)
        write_compared(self, weights, found)
        summary = self.write_results(found)
        drawn = (self.folder / f"{self.scorer.picture}.png").exists()
        shows = f": {self.scorer.shows}" if drawn else ""
        for line in closing_lines(self.rounds, summary, self.folder, shows=shows):
            log.info("%s", line)

    def write_results(self, found: Any) -> dict[str, Any]:
        """Write figures and the summary from the scorer's results; return the summary."""
        own = self.scorer.write(found, self.folder)
        save_figure(rounds_figure(pd.DataFrame(self.rounds)), self.folder / "rounds.png")
        if "stage" in self.rounds[-1]:
            figure = continual_figure(pd.DataFrame(self.rounds))
            save_figure(figure, self.folder / "continual.png")
        if self.clock is not None:
            self._draw_clock(self.clock)
        self._close_log()
        summary = summarise(self, own)
        write_summary(summary, self.folder / "summary.json")
        return summary

    def _draw_clock(self, clock: RunClock) -> None:
        clients = pd.DataFrame(clock.clock.client_rows())
        save_figure(client_times_figure(clients), self.folder / "clients.png")
        if self.scorer.judges:
            aim = None if self.config.target is None else target_of(self.config.target)
            figure = virtual_time_figure({self.config.name: pd.DataFrame(self.rounds)}, target=aim)
            save_figure(figure, self.folder / "virtual_time.png")

    def _log_rounds(self) -> None:
        """Log the rounds that are not in the log yet: all of them when it is opened."""
        if self._logger is None:
            self._logger = open_logger(self.config.logger, self.folder)
            self._logged = 0
        if self._logger is not None:
            for row in self.rounds[self._logged :]:
                self._logger.log_round(row)
            self._logged = len(self.rounds)

    def _close_log(self) -> None:
        """Log the remaining rounds and the picture, and end the log."""
        self._log_rounds()
        if self._logger is not None:
            name = self.scorer.picture
            if (picture := self.folder / f"{name}.png").exists():
                self._logger.log_picture(name, picture, server_round=len(self.rounds))
            self._logger.close()
            self._logger = None

    def save_models(self, weights: NDArrays) -> None:
        """Save the global model or student and the last uploads, for ``flwr_gan.wire.load``.

        An upload is saved as it was sent; an upload with a base is coded again without loss,
        because a file must not need a base.
        """
        folder = self.folder / self.federation.models
        self.scorer.describe(folder)
        if weights:
            codec = Schedule.of(self.config.codec).last
            save(folder / "global.fgan", self.scorer.named(weights), codec=codec)
        student: dict[str, NDArray[Any]] = getattr(self.strategy.inner, "student_arrays", dict)()
        if student:
            save(folder / "student.fgan", student)  # it is never sent, so it is coded without loss
        for upload in self.strategy.latest:
            path = folder / f"client-{int(upload.label):05d}.fgan"
            arrays = upload.arrays()
            if describe_payload(upload.payload).base_need == "none":
                save(path, upload.payload, Template.of(arrays))
            else:
                save(path, arrays)

    def write_progress(self, weights: NDArrays) -> None:
        """Write the checkpoint and the tables of the rounds so far."""
        self.write_state(self._checkpoint(weights))

    def _checkpoint(self, weights: NDArrays) -> Checkpoint:
        """Return a snapshot of the results so far, which later rounds do not change."""
        own: dict[str, Any] = getattr(self.strategy.inner, "state_dict", dict)()
        ledgers = {"": self.strategy.ledger, **self.strategy.comparison.ledgers}
        return Checkpoint(
            parameters=weights,
            strategy=deepcopy(own),
            ledgers={codec: Ledger(list(ledger.rows)) for codec, ledger in ledgers.items()},
            rounds=self.rounds,
            spending=list(self.spending),
            memory=self.strategy.exchange.state_dict(),
            seconds=self.seconds,
            clock={} if self.clock is None else self.clock.clock.state_dict(),
        )

    def write_state(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint and the tables of a snapshot."""
        tables = {"rounds.csv": pd.DataFrame(self.rounds)}
        messages = checkpoint.ledgers[""].to_frame(ALL_COLUMNS)
        tables["messages.csv"] = messages[list(COLUMNS)]
        tables["payloads.csv"] = messages[list(CHECKSUM_COLUMNS)]
        if self.config.privacy is not None:
            tables[SPENDING] = pd.DataFrame(checkpoint.spending)
        if self.clock is not None:
            tables |= self.clock.tables(checkpoint.clock)
        for name, table in tables.items():
            write_text(self.folder / name, table.to_csv(index=False))
        checkpoint.write(self.folder)  # last: anything that it does not hold is written again
