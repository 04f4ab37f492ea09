"""The tables of the matrix: their rows, found from flwr where they are strategies, and codecs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flwr.server.strategy as legacy
import flwr.serverapp.strategy as messages

from tests.conformance import adapters, long_runs, networks, unlike
from tests.conformance.bfloat16_average import Bfloat16Average, LegacyBfloat16Average
from tests.conformance.boosters import Boosters
from tests.conformance.loops import mean, nothing
from tests.conformance.model import Model
from tests.conformance.other_models import Coefficients, NoArrays, RawFloats, TinyArrays
from tests.conformance.running import Loop, Row
from tests.conformance.strategies import APIS, Api, exported, recipe
from tests.conformance.tasks import text
from tests.conformance.torch_model import TorchModel

CODECS = ("raw", "zstd:3", "sparse", "sparse:int8", "sparse:int4")

mlp = partial(TorchModel, networks.mlp)
batchnorm = partial(TorchModel, networks.mlp_with_batchnorm)
cnn = partial(TorchModel, networks.cnn_with_batchnorm, learning_rate=0.1)
transformer = partial(
    TorchModel, networks.Transformer, task=text, optimizer="adam", learning_rate=0.003, batch=25
)
lora = partial(
    TorchModel,
    adapters.mlp_with_adapters,
    task=adapters.turned_digits,
    start=adapters.trained_base,
    travels="lora",
    learning_rate=0.1,
    steps=40,
)


def raw_floats(model: Callable[[], Model]) -> Callable[[], Model]:
    """Return what makes a model whose tensors travel as bytes of float32."""
    return lambda: RawFloats(model())


NATURAL: dict[str, Callable[[], Model]] = {
    "mlp": mlp,
    "boosters": Boosters,
    "whole_boosters": partial(Boosters, whole=True),
    "raw_floats": raw_floats(mlp),
}
NAMES = {
    "mlp": "MLP",
    "boosters": "boosters",
    "whole_boosters": "boosters",
    "raw_floats": "MLP as bytes",
}
FAST_STRATEGIES = {"FedAvg", "FedAdam", "FedXgbBagging"}
FAST_MODELS = {
    ("legacy", "CNN with BatchNorm"),
    ("legacy", "MLP, float16"),
    ("legacy", "boosters"),
    ("legacy", "no arrays"),
    ("messages", "MLP"),
    ("messages", "no arrays"),
}


@dataclass(frozen=True)
class Table:
    """A table: a row for each app, a column for each codec."""

    name: str
    title: str
    head: str
    codecs: tuple[str, ...]
    rows: tuple[Row, ...]


def tables() -> list[Table]:
    """Return all tables."""
    return [
        Table(
            "strategies", "Every strategy that flwr exports", "strategy",
            ("sparse", "sparse:int8"),
            tuple(row for api in APIS for row in strategy_rows(api)),
        ),
        Table(
            "models", "FedAvg of every kind of model", "model", CODECS,
            tuple(row for api in APIS for row in model_rows(api)),
        ),
        Table(
            "replies", "Replies unlike the broadcast, and rounds without a strategy", "app", CODECS,
            tuple(row for api in APIS for row in unlike_rows(api)),
        ),
        Table(
            "long", "Training to the end with 8, 6 and 4 bits", "training", long_runs.CODECS,
            tuple(row for api in APIS for row in long_runs.long_rows(api)),
        ),
    ]  # fmt: skip


def strategy_rows(api: Api) -> list[Row]:
    """Return two rows for each strategy: its natural model, and a network with BatchNorm."""
    rows = []
    for name, kind in exported(api).items():
        made = recipe(api, name)
        needs = "xgboost" if "boosters" in made.model else ""
        row = partial(Row, name, api, kind, recipe=made, fast=name in FAST_STRATEGIES)
        with_statistics = raw_floats(batchnorm) if made.model == "raw_floats" else batchnorm
        rows.append(row(model=NATURAL[made.model], model_label=NAMES[made.model], needs=needs))
        rows.append(row(model=with_statistics, model_label="with BatchNorm"))
    return rows


def model_rows(api: Api) -> list[Row]:
    """Return a row for each kind of model."""
    strategies = APIS[api]
    networks_by_name: dict[str, Any] = {
        "MLP": mlp,
        "CNN with BatchNorm": cnn,
        "transformer": transformer,
        "LoRA adapters": lora,
    }
    models: dict[str, tuple[Any, Any, str]] = {}
    for name, make in networks_by_name.items():
        models[name] = make, strategies.FedAvg, ""
        models[f"{name}, float16"] = partial(make, dtype="float16"), strategies.FedAvg, ""
    bfloat16 = partial(mlp, dtype="bfloat16")
    own_average = LegacyBfloat16Average if api == "legacy" else Bfloat16Average
    models |= {
        "MLP, bfloat16": (bfloat16, strategies.FedAvg, "ml_dtypes"),
        "MLP, bfloat16, averaged as such": (bfloat16, own_average, "ml_dtypes"),
        "MLP, float64": (partial(mlp, dtype="float64"), strategies.FedAvg, ""),
        "scikit-learn coefficients, float64": (Coefficients, strategies.FedAvg, ""),
        "boosters": (Boosters, strategies.FedXgbBagging, "xgboost"),
        "boosters, FedAvg": (Boosters, strategies.FedAvg, "xgboost"),
        "many tiny arrays": (TinyArrays, strategies.FedAvg, ""),
        "no arrays": (NoArrays, strategies.FedAvg, ""),
    }
    rounds = {"LoRA adapters": 8, "LoRA adapters, float16": 8}  # until the accuracy settles
    return [
        Row(
            name,
            api,
            kind,
            model,
            needs=needs,
            fast=(api, name) in FAST_MODELS,
            rounds=rounds.get(name, 4),
        )
        for name, (model, kind, needs) in models.items()
    ]


def unlike_rows(api: Api) -> list[Row]:
    """Return rows whose replies have other arrays than the broadcast."""
    is_legacy = api == "legacy"
    average = legacy.FedAvg if is_legacy else messages.FedAvg
    half = unlike.LegacyFirstHalf if is_legacy else unlike.FirstHalf
    scatter = unlike.LegacyScatter if is_legacy else unlike.Scatter
    last = unlike.LegacyLast if is_legacy else unlike.Last
    rows = [
        Row("first half of the arrays (FedPer)", api, average, unlike.PersonalHead, fast=True),
        Row("twice the arrays (SCAFFOLD)", api, half, unlike.ControlVariates),
        Row("places and values", api, scatter, unlike.LargestChanges),
        Row("one array more each round", api, average, unlike.Growing),
        Row("nothing down, a histogram up", api, average, unlike.Histogram, fast=True),
        Row("integers change, weights do not", api, last, unlike.Counters, fast=True),
    ]
    if not is_legacy:
        by_hand = Loop(mean, "train")
        rows += [
            Row("a loop by hand", api, by_hand, batchnorm, fast=True),
            Row("a loop by hand, queries", api, Loop(nothing, "query"), unlike.Histogram),
        ]
    return rows
