"""One case as a run of the app, ``experiment=classifier``, and its results."""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from flwr.app import Context, Message
from flwr.client import Client
from flwr.clientapp import ClientApp
from flwr.common import NDArrays, Scalar
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.papers.fl_compression_comparison.setting import STUDENT_SIZES, TEACHER_SIZES
from experiments.study.app_runs import train
from flwr_gan.app.classifier.client import ClassifierClient, Config
from flwr_gan.app.classifier.federation import ClassifierFederation
from flwr_gan.app.classifier.network import measure
from flwr_gan.app.classifier.scoring import ClassifierScorer
from flwr_gan.app.compared import codec_folder
from flwr_gan.app.config import load_config
from flwr_gan.app.federation import Federation, federation_from, federation_of
from flwr_gan.data.partition import class_counts
from flwr_gan.errors import TrainingError
from flwr_gan.flower import compression_mod
from flwr_gan.flower.packing import unpacked
from flwr_gan.gan import load_network_arrays, network_arrays
from flwr_gan.wire import load

if TYPE_CHECKING:
    from experiments.papers.fl_compression_comparison.cases import Case

_TASK = "experiments.papers.fl_compression_comparison.task"
SECONDS = ["compute_s", "teacher_s"]


def arguments(case: "Case") -> list[str]:
    """Return the app's overrides for a case."""
    settings, method = case.hyperparameters, case.method
    hidden = STUDENT_SIZES if method.student else TEACHER_SIZES
    values = {
        "experiment": "classifier",
        "seed": case.seed,
        "codec": method.codec,
        "also_codecs": "[sparse]" if method.codec == "raw" else "[]",
        "federation.num_clients": settings.num_models,
        "federation.rounds": settings.num_rounds,
        "strategy": case.algorithm,
        "classifier.hidden": _listed(hidden[1:-1]),
        "classifier.student": _listed(STUDENT_SIZES[1:-1]),
        "classifier.passes": 1,
        "classifier.batch_size": settings.batch_size,
        "classifier.learning_rate": settings.learning_rate,
        "classifier.momentum": settings.momentum,
        "classifier.prune": settings.prune_amount if method.prune else 0.0,
        "classifier.distil": "printed" if method.as_printed else str(method.distil).lower(),
        "classifier.teacher_passes": settings.teacher_passes,
        "classifier.alpha": settings.distill_alpha,
        "classifier.temperature": settings.distill_temperature,
        "partition": "iid",
        "partition._target_": f"{_TASK}.StudySplit",
        "+partition.kind": case.partition,
        "+partition.case_seed": case.seed,
        "+partition.alpha": settings.dirichlet_alpha,
        "data": "fashion_mnist",
    }
    if case.algorithm == "fedprox":
        values["strategy.proximal_mu"] = settings.proximal_mu
    if settings.num_samples is not None:
        values |= {
            "data._target_": f"{_TASK}.some_of_fashion_mnist",
            "+data.samples": settings.num_samples,
            "+data.seed": case.seed,
        }
    return [f"{key}={value}" for key, value in values.items()]


def prepared(case: "Case") -> ClassifierFederation:
    """Return the federation of a case before its run: its samples and their split."""
    return _of_classifiers(federation_of(load_config(arguments(case)).to_yaml()))


class TimedClient(ClassifierClient):
    """A client of the app that also reports the processor time of its training."""

    _teacher_s = 0.0

    def fit(self, parameters: NDArrays, config: Config) -> tuple[NDArrays, int, dict[str, Scalar]]:
        """Return the trained weights, and the seconds of their training and the teacher's."""
        started = time.thread_time()
        arrays, count, _ = super().fit(parameters, config)
        spent = time.thread_time() - started
        metrics: dict[str, Scalar] = {
            "partition": self._partition,
            "teacher_s": self._teacher_s,
            "compute_s": spent - self._teacher_s,
        }
        return arrays, count, metrics

    def _teacher_logits(self) -> Tensor:
        started = time.thread_time()
        found = super()._teacher_logits()
        self._teacher_s = time.thread_time() - started
        return found


def _client_fn(context: Context) -> Client:
    return TimedClient(_of_classifiers(federation_from(context)), context).to_client()


@dataclass(frozen=True)
class Outcome:
    """The results of a case."""

    # one row per round, 0 for the initial model: accuracy and mean cross entropy on training and
    # test samples, seconds of the slowest client
    rounds: pd.DataFrame
    # the ledger: measured bytes of every message; raw weights are also counted as coded by
    # ``sparse``, for comparison
    messages: pd.DataFrame
    federation: ClassifierFederation  # samples and settings
    summary: dict[str, Any]  # final measures on all used training samples, and totals
    network: nn.Sequential  # the global model as the next broadcast would send it
    upload: Mapping[str, NDArray[Any]]  # decoded upload of the first client in the last round


def run_case(case: "Case", folder: Path) -> Outcome:
    """Train, aggregate and measure for all rounds; the app's files go to ``folder/run``.

    An interrupted run is repeated, because the seconds of its rounds are not saved.
    """
    started = time.perf_counter()
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    seconds: list[dict[str, float]] = []

    def keep_seconds(message: Message, reply: Message) -> None:
        if reply.has_content():
            metrics = unpacked(reply.content).config_records["fitres.metrics"]
            found = {name: float(str(metrics[name])) for name in SECONDS}
            seconds.append({"round": int(message.metadata.group_id)} | found)

    train(
        [*arguments(case), f"output_dir={run}"],
        clients=ClientApp(_client_fn, mods=[compression_mod]),
        on_reply=keep_seconds,
    )
    # The run has cached it under the text of its settings.
    federation = _of_classifiers(federation_of((run / "config.yaml").read_text("utf-8")))
    rounds = _rounds(run, federation, pd.DataFrame(seconds))
    network = federation.initial()
    load_network_arrays(network, load(run / "classifiers" / "global.fgan"))
    used = federation.dataset.train.take(np.unique(np.concatenate(federation.split)))
    train_accuracy, train_loss = measure(network, *federation.tensors(used))
    upload = load(run / "classifiers" / "client-00000.fgan")
    last = rounds.iloc[-1]
    summary = {
        "parameters": sum(array.size for array in upload.values()),
        "test_accuracy": float(last["test_accuracy"]),
        "test_loss": float(last["test_loss"]),
        "train_accuracy": train_accuracy,
        "train_loss": train_loss,
        "uploaded_nonzero": sum(int((a != 0).sum()) for a in upload.values()),
        "wall_s": time.perf_counter() - started,
        "held": held_classes(federation),
    }
    compared = [codec_folder(run, codec) for codec in federation.config.also_codecs]
    ledgers = [pd.read_csv(place / "messages.csv") for place in (run, *compared)]
    messages = pd.concat(ledgers, ignore_index=True)
    return Outcome(rounds, messages, federation, summary, network, upload)


def held_classes(federation: ClassifierFederation) -> list[list[int]]:
    """Return the number of samples per class that each client holds."""
    data = federation.dataset
    counts = class_counts(data.train.y_N, federation.split, num_classes=data.num_classes)
    return [[int(count) for count in row] for row in counts]


def _rounds(run: Path, federation: ClassifierFederation, seconds: pd.DataFrame) -> pd.DataFrame:
    """Return one row per round of the app, after a row for the initial model.

    Raises TrainingError if the app has continued without a failed client.
    """
    table = pd.read_csv(run / "rounds.csv")
    failed = table.loc[table["failures"] > 0, "round"].tolist()
    if failed:
        raise TrainingError(f"clients failed in rounds {', '.join(map(str, failed))}")
    initial = list(network_arrays(federation.initial()).values())
    first = ClassifierScorer(federation).score(0, initial, ())
    rows = pd.concat([pd.DataFrame([{"round": 0} | first]), table[["round", *first]]])
    slowest = seconds.groupby("round").max().reindex(rows["round"], fill_value=0.0)
    return rows.assign(**{name: slowest[name].to_numpy() for name in SECONDS})


def _of_classifiers(federation: Federation) -> ClassifierFederation:
    assert isinstance(federation, ClassifierFederation)
    return federation


def _listed(numbers: Sequence[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"
