"""One federated run with its measures, and the grid of runs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from experiments.papers.fl_compression_comparison.printed import compare_codecs, compare_formulas
from experiments.papers.fl_compression_comparison.runs import run_case
from experiments.papers.fl_compression_comparison.setting import (
    BY_NAME,
    DENSE_BYTES,
    METHODS,
    PRINTED,
    STUDENT,
    STUDENT_SIZES,
    TEACHER_SIZES,
    Hyperparameters,
    Method,
)
from experiments.study.cases import StudyCase
from experiments.study.results import write_table
from flwr_gan.engine.clock import Traffic, predicted_round_s
from flwr_gan.engine.links import Client

MESSAGES = "messages.csv"
LINKS_MBIT = (1, 10, 100)  # links in the table of delays


@dataclass(frozen=True, kw_only=True)
class Case(StudyCase):
    """One federated run."""

    title = "{partition}{hyperparameters.num_models}_{algorithm}_{method.name}_seed{seed}"

    # the split, {"iid", "dirichlet", "whole"}; ``whole``: every client holds all samples
    partition: str
    algorithm: str  # of training and aggregation, {"fedavg", "fedprox"}
    method: Method  # the techniques
    # of split, initial weights and order of the samples; cases with the same seed are paired
    seed: int
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)  # all other settings
    # speed of a client's link in each direction, in Mbit/s, for transfer times
    link_mbit: float = 10.0

    @property
    def place(self) -> Mapping[str, Any]:
        """The case as columns."""
        return {
            "partition": self.partition,
            "clients": self.hyperparameters.num_models,
            "algorithm": self.algorithm,
            "method": self.method.name,
            "seed": self.seed,
        }

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result depends on."""
        known = asdict(self) | {"codec": self.method.codec}
        return {name: value for name, value in known.items() if name != "link_mbit"}

    @property
    def passes(self) -> float:
        """Estimated number of passes of SimpleNN over all samples."""
        settings = self.hyperparameters
        share = sum(STUDENT_SIZES) / sum(TEACHER_SIZES) * 0.6 if self.method.small else 1.0
        passes = settings.num_rounds * share + settings.teacher_passes * self.method.distil
        return passes * (settings.num_models if self.partition == "whole" else 1)

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return self.passes

    def measure(self, folder: Path) -> dict[str, Any]:
        """Train, aggregate and measure; return single values, rounds, codecs and formulas."""
        outcome = run_case(self, folder)
        result = outcome.summary | {
            "rounds": outcome.rounds.to_dict("records"),
            "codecs": compare_codecs(outcome.upload).to_dict("records"),
        }
        if self.method.name == "none":
            federation, amount = outcome.federation, self.hyperparameters.prune_amount
            test = federation.tensors(federation.dataset.test)
            formulas = compare_formulas(outcome.network, *test, amount=amount)
            result["formulas"] = formulas.to_dict("records")
        write_table(outcome.messages, folder / MESSAGES, digits=7)
        return result


def costs(case: Case, folder: Path, rounds: pd.DataFrame) -> dict[str, Any]:
    """Return the bytes of a run and the seconds of a typical round, from its messages.

    Ratios are relative to SimpleNN in float32, for both directions together unless one is named.
    Seconds are the slowest client's, the median over rounds. Transfer is computed by the virtual
    clock, from measured message bytes and Flower's other traffic; the rest is measured.
    ``delay_1_s`` is the delay with a link of 1 Mbit/s.
    """
    messages = pd.read_csv(folder / MESSAGES)
    messages = messages[messages["kind"] == "train"]
    own = messages[messages["codec"] == case.method.codec]
    sparse = messages[messages["codec"] == "sparse"]
    up, down = (own[own["direction"] == name] for name in ("up", "down"))
    place = ["round", "client"]
    coding = up.set_index(place)["encode_s"] + down.set_index(place)["decode_s"]
    trained = rounds[rounds["round"] > 0]
    row = {
        f"{name}ratio": part[f"{size}_bytes"].sum() / (DENSE_BYTES * len(part) or math.nan)
        for name, part, size in (
            ("", own, "payload"), ("up_", up, "payload"), ("down_", down, "payload"),
            ("message_", own, "message"), ("sparse_", sparse, "payload"),
        )
    }  # fmt: skip
    row |= {
        "teacher_s": trained["teacher_s"].iloc[0],
        "compute_s": trained["compute_s"].median(),
        "coding_s": coding.groupby("round").max().median(),
        "transfer_computed_s": _transfer_s(own, case.link_mbit),
    }
    worked_s = row["compute_s"] + row["coding_s"]
    delays = {f"delay_{mbit}_s": worked_s + _transfer_s(own, mbit) for mbit in LINKS_MBIT}
    return row | {"delay_s": worked_s + row["transfer_computed_s"]} | delays


def _transfer_s(messages: pd.DataFrame, mbit_s: float) -> float:
    """Return the virtual seconds of a typical round's messages, at this speed each way."""
    link = Client(down_mbit_s=mbit_s, up_mbit_s=mbit_s)
    sizes = messages.pivot(index=["round", "client"], columns="direction", values="message_bytes")
    return median(
        predicted_round_s([link], [Traffic(0, down, up) for down, up in of.to_numpy().tolist()])
        for _, of in sizes[["down", "up"]].groupby("round")
    )


def grid(
    *,
    partitions: Sequence[str],
    algorithms: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    **settings: Any,
) -> Iterator[Case]:
    """Yield every case of the comparison, seed after seed."""
    for seed in seeds:
        for partition in partitions:
            for algorithm in algorithms:
                for name in methods:
                    yield Case(partition=partition, algorithm=algorithm, method=BY_NAME[name],
                               seed=seed, **settings)  # fmt: skip


def controls(
    *, seeds: Sequence[int], hyperparameters: Hyperparameters, **settings: Any
) -> Iterator[Case]:
    """Yield the controls that explain the results, with FedAvg.

    The student trained only on labels; distillation as printed; one model trained on all samples;
    three models that each train on all samples, averaged each round.
    """
    alone = replace(hyperparameters, num_models=1)
    for method, partition, sizes in (
        (STUDENT, "iid", hyperparameters),
        (PRINTED, "iid", hyperparameters),
        (STUDENT, "dirichlet", hyperparameters),
        (METHODS[0], "whole", alone),
        (METHODS[0], "whole", hyperparameters),
    ):
        for seed in seeds:
            yield Case(partition=partition, algorithm="fedavg", method=method, seed=seed,
                       hyperparameters=sizes, **settings)  # fmt: skip
