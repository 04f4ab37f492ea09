"""How each strategy that flwr exports is made, and what it trains naturally.

The strategies are found from flwr's own lists, so that one that a newer flwr adds shows up; it
then wants a line in the tables below.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import flwr.server.strategy as legacy
import flwr.serverapp.strategy as messages
from flwr.client import mod as legacy_mods
from flwr.clientapp import mod as message_mods
from flwr.compat.client.dpfedavg_numpy_client import DPFedAvgNumPyClient

from flwr_gan.errors import ConfigError
from tests.conformance.model import CLIENTS, Model

Api = Literal["legacy", "messages"]
APIS: dict[Api, ModuleType] = {"legacy": legacy, "messages": messages}


@dataclass(frozen=True)
class Recipe:
    """How to make a strategy.

    Parameters
    ----------
    settings : mapping
        Given to the class beside those that all share.
    around : bool
        The class wraps another strategy, which is FedAvg here.
    model : str
        Its natural model: mlp, boosters, whole_boosters or raw_floats.
    mods : sequence
        Mods that its clients need, inside the wire.
    client_wrapper : callable, optional
        What its ``NumPyClient`` is wrapped in.
    scored : bool
        It needs a score of the server's own in every round.
    failing : frozenset of (int, int)
        Partition and round of clients that fail.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    around: bool = False
    model: str = "mlp"
    mods: Sequence[Any] = ()
    client_wrapper: Callable[[Any], Any] | None = None
    scored: bool = False
    failing: frozenset[tuple[int, int]] = frozenset()


PRIVATE = {"noise_multiplier": 0.02, "num_sampled_clients": CLIENTS}
FIXED, ADAPTIVE = {**PRIVATE, "clipping_norm": 3.0}, {**PRIVATE, "initial_clipping_norm": 3.0}
OLD_FIXED = {"num_sampled_clients": CLIENTS, "clip_norm": 3.0, "noise_multiplier": 0.002}
OLD_ADAPTIVE = {"num_sampled_clients": CLIENTS, "init_clip_norm": 3.0, "noise_multiplier": 0.002}
MOMENTS = {"eta": 0.05, "tau": 0.01}

RECIPES: dict[Api, dict[str, Recipe]] = {
    "legacy": {
        "Bulyan": Recipe({"num_malicious_clients": 0, "to_keep": 0}),
        "DPFedAvgAdaptive": Recipe(OLD_ADAPTIVE, True, client_wrapper=DPFedAvgNumPyClient),
        "DPFedAvgFixed": Recipe(OLD_FIXED, True, client_wrapper=DPFedAvgNumPyClient),
        "DifferentialPrivacyClientSideAdaptiveClipping": Recipe(
            ADAPTIVE, True, mods=[legacy_mods.adaptiveclipping_mod]
        ),
        "DifferentialPrivacyClientSideFixedClipping": Recipe(
            FIXED, True, mods=[legacy_mods.fixedclipping_mod]
        ),
        "DifferentialPrivacyServerSideAdaptiveClipping": Recipe(ADAPTIVE, True),
        "DifferentialPrivacyServerSideFixedClipping": Recipe(FIXED, True),
        "FaultTolerantFedAvg": Recipe(failing=frozenset({(1, 2)})),
        "FedAdagrad": Recipe(MOMENTS),
        "FedAdam": Recipe(MOMENTS),
        "FedAvg": Recipe(),
        "FedAvgAndroid": Recipe(model="raw_floats"),
        "FedAvgM": Recipe({"server_momentum": 0.5}),
        "FedMedian": Recipe(),
        "FedOpt": Recipe(),
        "FedProx": Recipe({"proximal_mu": 0.1}),
        "FedTrimmedAvg": Recipe({"beta": 0.34}),
        "FedXgbBagging": Recipe(model="boosters"),
        "FedXgbCyclic": Recipe(model="whole_boosters"),
        "FedXgbNnAvg": Recipe(),
        "FedYogi": Recipe(MOMENTS),
        "Krum": Recipe({"num_clients_to_keep": 2}),
        "QFedAvg": Recipe({"q_param": 0.1, "qffl_learning_rate": 1.0}, scored=True),
    },
    "messages": {
        "Bulyan": Recipe(),
        "DifferentialPrivacyClientSideAdaptiveClipping": Recipe(
            ADAPTIVE, True, mods=[message_mods.adaptiveclipping_mod]
        ),
        "DifferentialPrivacyClientSideFixedClipping": Recipe(
            FIXED, True, mods=[message_mods.fixedclipping_mod]
        ),
        "DifferentialPrivacyServerSideAdaptiveClipping": Recipe(ADAPTIVE, True),
        "DifferentialPrivacyServerSideFixedClipping": Recipe(FIXED, True),
        "FedAdagrad": Recipe(MOMENTS),
        "FedAdam": Recipe(MOMENTS),
        "FedAvg": Recipe(),
        "FedAvgM": Recipe({"server_momentum": 0.5}),
        "FedMedian": Recipe(),
        "FedProx": Recipe({"proximal_mu": 0.1}),
        "FedTrimmedAvg": Recipe({"beta": 0.34}),
        "FedXgbBagging": Recipe(model="boosters"),
        "FedXgbCyclic": Recipe(model="whole_boosters"),
        "FedYogi": Recipe(MOMENTS),
        "Krum": Recipe(),
        "MultiKrum": Recipe({"num_nodes_to_select": 2}),
        "QFedAvg": Recipe({"client_learning_rate": 1.0}),
    },
}


def exported(api: Api) -> dict[str, type]:
    """Return the strategies that flwr exports, by name."""
    module = APIS[api]
    kinds = {name: getattr(module, name) for name in module.__all__}
    return {
        name: kind
        for name, kind in kinds.items()
        if issubclass(kind, module.Strategy) and not inspect.isabstract(kind)
    }


def recipe(api: Api, name: str) -> Recipe:
    """Return how a strategy is made.

    Raises
    ------
    ConfigError
        If there is no recipe.
    """
    try:
        return RECIPES[api][name]
    except KeyError:
        raise ConfigError(
            f"{APIS[api].__name__} exports {name}, which has no recipe: add one to RECIPES in "
            "tests/conformance/strategies.py"
        ) from None


def make_strategy(kind: type, made: Recipe, model: Model, clients: int) -> Any:
    """Return a strategy that asks every client in every round.

    Parameters
    ----------
    kind : type
        The class, or a subclass of it.
    made : Recipe
        How it is made.
    model : Model
        What it trains; the legacy API's strategies hold the initial arrays.
    clients : int
        Number of clients.
    """
    is_legacy = issubclass(kind, legacy.Strategy)
    shared = _legacy_settings(model, made, clients) if is_legacy else _message_settings(clients)
    if made.around:
        inner = legacy.FedAvg if is_legacy else messages.FedAvg
        return kind(inner(**shared), **made.settings)
    known = _parameters(kind)
    return kind(**{key: value for key, value in shared.items() if key in known}, **made.settings)


def _parameters(kind: type) -> set[str]:
    """Return the names that a class takes, by itself and by what it hands to its bases."""
    names: set[str] = set()
    for base in kind.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base.__init__).parameters.values()
            names |= {p.name for p in parameters}
            if not any(p.kind is p.VAR_KEYWORD for p in parameters):
                break
    return names


def _message_settings(clients: int) -> dict[str, Any]:
    names = ("min_train_nodes", "min_evaluate_nodes", "min_available_nodes")
    return dict.fromkeys(names, clients)


def _legacy_settings(model: Model, made: Recipe, clients: int) -> dict[str, Any]:
    names = ("min_fit_clients", "min_evaluate_clients", "min_available_clients")
    settings: dict[str, Any] = dict.fromkeys(names, clients)
    if made.scored:
        settings["evaluate_fn"] = _server_score(model)
    return settings | {
        "initial_parameters": model.to_parameters(model.initial()),
        "on_fit_config_fn": lambda server_round: {"server-round": server_round},
        "fit_metrics_aggregation_fn": _mean_metrics,
        "evaluate_metrics_aggregation_fn": _mean_metrics,
    }


def _server_score(model: Model) -> Callable[..., tuple[float, dict[str, Any]]]:
    from flwr.app import RecordDict

    def evaluate(server_round: int, values: Any, config: Any) -> tuple[float, dict[str, Any]]:
        score = model.evaluate(model.named(values), partition=0, state=RecordDict())
        return score.loss, {}

    return evaluate


def _mean_metrics(told: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    total = sum(examples for examples, _ in told)
    return {
        key: sum(examples * metrics[key] for examples, metrics in told) / total
        for key in told[0][1]
    }
