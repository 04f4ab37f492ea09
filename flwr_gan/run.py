"""One run on the server: scores each round, keeps the books, writes the output folder."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from flwr.common import NDArrays, Parameters, ndarrays_to_parameters, parameters_to_ndarrays
from numpy.typing import NDArray

from flwr_gan import __version__
from flwr_gan.atomic import write_text
from flwr_gan.checkpoint import Checkpoint
from flwr_gan.continual.scores import pool_accuracy, stage_scores
from flwr_gan.data.partition import class_counts
from flwr_gan.errors import OutputError, TrainingError
from flwr_gan.flower.strategy import CompressedStrategy
from flwr_gan.gan import generator_arrays, torch_threads
from flwr_gan.loggers import RunLogger, open_logger
from flwr_gan.metrics import SampleJudge
from flwr_gan.plots import (
    continual_figure,
    partition_picture,
    rounds_figure,
    sample_grid,
    save_figure,
)
from flwr_gan.privacy import spending_row
from flwr_gan.seeding import derive_seed
from flwr_gan.twins import joined_ledger, split_ledger, write_twins
from flwr_gan.wire import Template, describe_payload, save
from flwr_gan.wiring import Federation

log = getLogger(__name__)

GRID_COLUMNS = 12
SPENDING = "privacy.csv"  # a row a client and round, where training is private
MEASURES = (
    "round", "clients", "failures", "up_bytes", "down_bytes", "dense_up_bytes",
    "dense_down_bytes", "sparsity",
)  # fmt: skip
HEADINGS = {
    "conditional_accuracy": "conditional acc.",
    "synthetic_accuracy": "synthetic acc.",
    "frechet_distance": "Fréchet",
}


@dataclass
class Run:
    """The books of one run.

    Parameters
    ----------
    federation : Federation
        Config, data and split.
    strategy : CompressedStrategy
        The wrapped strategy, whose ledger holds the messages.
    num_rounds : int
        Rounds in all.
    trained_by : str, optional
        Folder of the run whose training this one shares; none where it trained by itself.
    """

    federation: Federation
    strategy: CompressedStrategy
    num_rounds: int
    rounds: list[dict[str, Any]] = field(default_factory=list)
    earlier_s: float = 0.0
    trained_by: str | None = None

    def __post_init__(self) -> None:
        self.config = self.federation.config
        self.folder = self.config.folder
        self.spending: list[dict[str, Any]] = []
        self._logger: RunLogger | None = None
        self._started = time.perf_counter()

    def open(self) -> Parameters | None:
        """Write what is known before training; return the parameters to resume from, if any.

        Raises
        ------
        OutputError
            When the output folder cannot be written, or a checkpoint cannot be read.
        """
        write_text(self.folder / "config.yaml", self.config.to_yaml())
        data = self.federation.dataset
        split = self.federation.split
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
        if self.config.privacy is not None:
            self.spending = self._earlier_spending()
        self.strategy.exchange.partitions = checkpoint.partitions
        self.strategy.exchange.known.load_state_arrays(checkpoint.memory)
        split_ledger(checkpoint.ledger, self.strategy.exchange)
        self.earlier_s = checkpoint.seconds
        if checkpoint.strategy:
            self.strategy.inner.load_state_arrays(checkpoint.strategy)  # type: ignore[attr-defined]
        if self.first_round > self.num_rounds and not (self.folder / "summary.json").exists():
            self.close(checkpoint.parameters)  # interrupted after its last round
        return ndarrays_to_parameters(checkpoint.parameters)

    @property
    def first_round(self) -> int:
        """The round after the last finished one."""
        return len(self.rounds) + 1

    @property
    def seconds(self) -> float:
        """Wall time so far, that of interrupted parts included up to their last checkpoint."""
        return self.earlier_s + time.perf_counter() - self._started

    def _earlier_spending(self) -> list[dict[str, Any]]:
        """Return the rows of finished rounds; a round that will be done again brings its own."""
        path = self.folder / SPENDING
        try:
            table = pd.read_csv(path)
            rows = table[table["round"] < self.first_round].to_dict("records")
        except (OSError, ValueError, KeyError) as error:
            raise OutputError(f"cannot read {path}: {error}; start a new run") from error
        return [{str(key): value for key, value in row.items()} for row in rows]

    def on_round(
        self,
        server_round: int,
        parameters: Parameters,
        metrics: Mapping[str, Any],
        seconds: float,
    ) -> None:
        """Score a finished round, write its rows and a checkpoint."""
        begun = time.perf_counter()
        weights = parameters_to_ndarrays(parameters)
        own: Mapping[str, Any] = getattr(self.strategy.inner, "round_measures", {})
        row = self.measured(server_round) | dict(metrics) | dict(own)
        if self.config.evaluation == "server" and len(self._classes()):
            row |= self._score(server_round, weights)
            row |= self._stage_scores(server_round, weights)
        row["wall_s"] = seconds + time.perf_counter() - begun
        self.rounds.append(row)
        told = [spending_row(server_round, r.partition, r.metrics) for r in self.strategy.latest]
        self.spending += [spent for spent in told if spent is not None]
        last = server_round == self.num_rounds
        if last:
            self.save_generators(weights)  # before the checkpoint, which ends the last round
        self._log_round(row)  # before the checkpoint: a round logged twice counts once
        self.write_progress(weights)
        log.info("%s", self._line(row))
        if last:
            self.close(weights)

    def close(self, weights: NDArrays) -> None:
        """Write what the finished run leaves behind; the summary comes last.

        Raises
        ------
        TrainingError
            When no client delivered anything in any round.
        """
        if not any(row["clients"] for row in self.rounds):
            reasons = [reason for found in self.strategy.failures.values() for reason in found]
            first = reasons[0] if reasons else "no client was sampled"
            raise TrainingError(
                f"no client delivered anything in {len(self.rounds)} rounds: {first}"
            )
        self.write_progress(weights)
        write_twins(self, weights)
        summary = self.write_results(weights)
        for line in closing_lines(self.rounds, summary, self.folder):
            log.info("%s", line)

    def write_results(self, weights: NDArrays) -> dict[str, Any]:
        """Write figures and the summary, and return the summary."""
        data = self.federation.dataset
        labels_N = np.repeat(self._classes(), GRID_COLUMNS)
        x_NTC = self._generate(weights, labels_N, derive_seed(self.config.seed, "grid"))
        x_KnTC = x_NTC.reshape(-1, GRID_COLUMNS, *x_NTC.shape[1:])
        names = [data.class_names[k] for k in self._classes()]
        save_figure(sample_grid(x_KnTC, names, data.kind), self.folder / "samples.png")
        save_figure(rounds_figure(pd.DataFrame(self.rounds)), self.folder / "rounds.png")
        if "stage" in self.rounds[-1]:
            figure = continual_figure(pd.DataFrame(self.rounds))
            save_figure(figure, self.folder / "continual.png")
        self._close_log()
        summary = self.summary()
        write_text(
            self.folder / "summary.json",
            json.dumps(_jsonable(summary), indent=2, allow_nan=False) + "\n",
        )
        return summary

    def _log_round(self, row: Mapping[str, Any]) -> None:
        logger = self._opened_logger(int(row["round"]))
        if logger is not None:
            logger.log_round(row)

    def _close_log(self) -> None:
        """Log the samples, and what a twin has come to know at once, and end the log."""
        twin = self.trained_by is not None
        logger = self._opened_logger(1 if twin else self.first_round)
        if logger is None:
            return
        if twin:
            for row in self.rounds:
                logger.log_round(row)
        logger.log_picture("samples", self.folder / "samples.png", server_round=len(self.rounds))
        logger.close()
        self._logger = None

    def _opened_logger(self, first_round: int) -> RunLogger | None:
        """Return the logger, opened when something is logged for the first time."""
        if self._logger is None:
            self._logger = open_logger(self.config.logger, self.folder, first_round=first_round)
        return self._logger

    def summary(self) -> dict[str, Any]:
        """Return totals, final metrics, ratios, versions, seed and wall time."""
        ledger = self.strategy.ledger
        totals: dict[str, Any] = {}
        for direction in ("up", "down"):
            columns = ("dense_bytes", "payload_bytes", "message_bytes")
            dense, payload, message = (ledger.total(c, direction=direction) for c in columns)
            totals |= {
                f"dense_{direction}_bytes": dense,
                f"payload_{direction}_bytes": payload,
                f"{direction}_bytes": message,
                f"payload_{direction}_ratio": dense / payload if payload else None,
                f"message_{direction}_ratio": dense / message if message else None,
            }
        last = self.rounds[-1] if self.rounds else {}
        judged = self.config.evaluation == "server"
        return {
            "name": self.config.name,
            "data": self.federation.dataset.name,
            "strategy": type(self.strategy.inner).__name__,
            "codec": self.config.codec,
            "seed": self.config.seed,
            "clients": self.config.federation.num_clients,
            "rounds": len(self.rounds),
            "failures": sum(int(row["failures"]) for row in self.rounds),
            "totals": totals,
            "final": {key: value for key, value in last.items() if key not in MEASURES[:7]},
            "real": self.judge.real_scores if judged else None,
            "versions": {
                "flwr_gan": __version__,
                **{name: version(name) for name in ("flwr", "torch", "numpy")},
            },
            "wall_s": self.seconds,
            **({} if self.config.privacy is None else {"privacy": self._spent()}),
            **({} if self.trained_by is None else {"trained_by": self.trained_by}),
        }

    def _spent(self) -> dict[str, float]:
        """Return the guarantee that holds for the samples of every client."""
        spent = [row["epsilon"] for row in self.spending]
        assert self.config.privacy is not None
        return {"epsilon": max(spent, default=0.0), "delta": self.config.privacy.delta}

    def _line(self, row: Mapping[str, Any]) -> str:
        """Return one line of live progress, with an estimate of the time that is left."""
        done = int(row["round"])
        left = (self.num_rounds - done) * self.seconds / done
        parts = [
            f"round {done:3d}/{self.num_rounds}",
            f"sparsity {100 * row['sparsity']:5.1f} %",
            f"up {row['up_bytes'] / 1000:8.1f} kB",
            f"down {row['down_bytes'] / 1000:8.1f} kB",
        ]
        parts += [f"{label} {row[key]:.3f}" for key, label in HEADINGS.items() if key in row]
        parts += [f"failures {row['failures']}"] if row["failures"] else []
        return " | ".join([*parts, f"{row['wall_s']:.1f} s, {left:.0f} s left"])

    def measured(self, server_round: int) -> dict[str, Any]:
        """Return the measured part of a round's row."""
        ledger = self.strategy.ledger
        replies = [
            row
            for row in ledger.rows
            if (row.round, row.kind, row.direction) == (server_round, "train", "up")
        ]
        size = sum(row.parameters for row in replies)
        nonzero = sum(row.nonzero for row in replies)
        values = (
            server_round,
            sum(row.parameters > 0 for row in replies),
            len(self.strategy.failures.get(server_round, [])),
            ledger.total("message_bytes", direction="up", round=server_round),
            ledger.total("message_bytes", direction="down", round=server_round),
            ledger.total("dense_bytes", direction="up", round=server_round),
            ledger.total("dense_bytes", direction="down", round=server_round),
            1 - nonzero / size if size else float("nan"),
        )
        return dict(zip(MEASURES, values, strict=True))

    @cached_property
    def judge(self) -> SampleJudge:
        """What scores the samples, made when it is first needed."""
        data = self.federation.dataset
        with torch_threads(self.config.federation.threads):
            return SampleJudge(
                data.train,
                data.test,
                num_classes=data.num_classes,
                seed=derive_seed(self.config.seed, "judge"),
            )

    def _score(self, server_round: int, weights: NDArrays) -> dict[str, float]:
        with torch_threads(self.config.federation.threads):
            labels_N = np.repeat(self._classes(), self.config.samples_per_class)
            seed = derive_seed(self.config.seed, "score", round=server_round)
            return self.judge.score(self._generate(weights, labels_N, seed), labels_N, seed=seed)

    def _stage_scores(self, server_round: int, weights: NDArrays) -> dict[str, float]:
        """Return quality on what is old and what is new, where the data drift."""
        references = self.federation.references(self.federation.stage(server_round))
        if not references:
            return {}
        inner, count = self.strategy.inner, self.config.samples_per_class
        seed = derive_seed(self.config.seed, "stages", round=server_round)
        with torch_threads(self.config.federation.threads):
            row = stage_scores(
                self.judge,
                references,
                lambda labels_N: self._generate(weights, labels_N, seed),
                samples_per_class=count,
                earlier=self.rounds,
            )
            if getattr(inner, "known_classes", ()):
                row |= pool_accuracy(self.judge, inner, seed=seed, samples_per_class=count)
        return row

    def _classes(self) -> NDArray[np.int64]:
        """Return the classes that the strategy can generate."""
        held = getattr(self.strategy.inner, "held_classes", None)
        return np.arange(self.federation.dataset.num_classes) if held is None else np.array(held)

    def _generate(
        self, weights: NDArrays, labels_N: NDArray[np.int64], seed: int
    ) -> NDArray[np.float32]:
        """Return samples of the strategy itself, where it can draw some, or of the global model."""
        own = getattr(self.strategy.inner, "sample", None)
        if own is not None:
            drawn: NDArray[np.float32] = own(labels_N, seed)
            return drawn
        return self.federation.generate(self._named(weights), labels_N, seed)

    def _named(self, weights: NDArrays) -> dict[str, NDArray[Any]]:
        generator, _ = self.federation.networks(self.config.seed)
        return dict(zip(generator_arrays(generator), weights, strict=True))

    def save_generators(self, weights: NDArrays) -> None:
        """Save the global generator or student and the last uploads, for ``flwr_gan.wire.load``.

        An upload is saved as it travelled; one that leans on what the server had sent before is
        coded anew, without loss, because a file has to stand alone.
        """
        folder = self.folder / "generators"
        if weights:
            save(folder / "global.fgan", self._named(weights), codec=self.config.codec)
        student: dict[str, NDArray[Any]] = getattr(self.strategy.inner, "student_arrays", dict)()
        if student:
            save(folder / "student.fgan", student)  # it never travels, so it is coded without loss
        for upload in self.strategy.latest:
            path = folder / f"client-{upload.partition:05d}.fgan"
            arrays = upload.arrays()
            if describe_payload(upload.payload).base_need == "none":
                save(path, upload.payload, Template.of(arrays))
            else:
                save(path, arrays)

    def write_progress(self, weights: NDArrays) -> None:
        """Write the checkpoint and the tables of the rounds so far."""
        state: dict[str, NDArray[Any]] = getattr(self.strategy.inner, "state_arrays", dict)()
        checkpoint = Checkpoint(
            parameters=weights,
            strategy=state,
            ledger=joined_ledger(self.strategy.exchange),
            rounds=self.rounds,
            partitions=self.strategy.exchange.partitions,
            memory=self.strategy.exchange.known.state_arrays(),
            seconds=self.seconds,
        )
        rounds = pd.DataFrame(self.rounds).to_csv(index=False)
        write_text(self.folder / "rounds.csv", rounds)
        messages = self.strategy.ledger.to_frame().to_csv(index=False)
        write_text(self.folder / "messages.csv", messages)
        if self.config.privacy is not None:
            spending = pd.DataFrame(self.spending).to_csv(index=False)
            write_text(self.folder / SPENDING, spending)
        checkpoint.write(self.folder)  # last: what it does not hold is written anew


def _jsonable(value: Any) -> Any:
    """Return the value with null in place of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def closing_lines(
    rounds: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], folder: Path
) -> list[str]:
    """Return the closing table of a run and where its files are."""
    table = pd.DataFrame(rounds)
    ratio = table["dense_up_bytes"] / table["up_bytes"]
    shown = pd.DataFrame(
        {
            "round": table["round"],
            "clients": table["clients"],
            "sparsity %": (100 * table["sparsity"]).round(1),
            "up bytes": table["up_bytes"],
            "down bytes": table["down_bytes"],
            "up ratio": ratio.round(2),
            **{label: table[key].round(3) for key, label in HEADINGS.items() if key in table},
        }
    )
    totals, lines = summary["totals"], ["", *shown.to_string(index=False).split("\n"), ""]
    for direction in ("up", "down"):
        payload, message = (totals[f"{kind}_{direction}_ratio"] for kind in ("payload", "message"))
        lines.append(
            f"{direction:>4}: {totals[f'{direction}_bytes']:,} bytes in messages; dense float32 is "
            f"{_times(payload)} the payloads and {_times(message)} the whole messages"
        )
    if summary["real"] is not None:
        lines.append(
            "the classifier behind synthetic acc. reaches "
            f"{summary['real']['synthetic_accuracy']:.3f} when it is trained on real data"
        )
    lines.append(
        f"{summary['wall_s']:.0f} s; files are in {folder}: samples.png shows what it generates"
    )
    return lines


def _times(ratio: float | None) -> str:
    return "nothing beside" if ratio is None else f"{ratio:.2f} times"
