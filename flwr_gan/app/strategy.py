"""The strategy of a run, from its config."""

from functools import partial
from inspect import signature
from typing import Any, cast

from flwr.common import ndarrays_to_parameters
from hydra.utils import get_class

from flwr_gan.app.config import build
from flwr_gan.app.federation import Federation
from flwr_gan.app.overrides import why_not_loaded
from flwr_gan.app.run_config import RunConfig
from flwr_gan.core.settings import Amount, checked
from flwr_gan.errors import ConfigError
from flwr_gan.gan.networks import SampleGenerator
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods.pool_distillation import PoolStudent
from flwr_gan.wire import Template


def build_strategy(federation: Federation) -> Any:
    """Return the configured strategy, unwrapped; run-time arguments go by parameter name."""
    config = federation.config
    network = federation.initial()
    arrays = network_arrays(network)
    count, asked = config.clients_per_round, config.clients_asked
    evaluating = config.evaluation == "clients"
    runtime: dict[str, Any] = {
        "initial_parameters": ndarrays_to_parameters(list(arrays.values())),
        "names": list(arrays),
        "template": Template.of(arrays),
        "num_classes": federation.num_classes,
        "generate": federation.generate,
        "new_student": partial(
            PoolStudent,
            cast(SampleGenerator, network),
            seed=config.seed,
            threads=config.federation.threads,
            device=config.federation.device,
        ),
        "fraction_fit": config.fraction_asked,
        "min_fit_clients": min(asked, config.federation.least_clients),
        "min_available_clients": config.federation.least_clients,
        "fraction_evaluate": config.federation.fraction * evaluating,
        "min_evaluate_clients": min(count, config.federation.least_clients) * evaluating,
        "on_fit_config_fn": _round_config,
        "on_evaluate_config_fn": _round_config,
        "evaluate_metrics_aggregation_fn": average_metrics,
    }
    accepted = _accepted(config.strategy["_target_"], runtime)
    if config.classifier is not None and {"names", "generate"} & set(accepted):
        raise ConfigError(
            f"strategy._target_={config.strategy['_target_']} is for generators, and classifier is "
            "set: use strategy=fedavg, fedprox, sparse_fedavg, masked_fedavg, fedbuff or fedasync"
        )
    strategy = build(config.strategy, **accepted)
    checked("strategy.proximal_mu", getattr(strategy, "proximal_mu", 0.0), Amount)
    return strategy


def num_rounds(config: RunConfig, strategy: Any) -> int:
    """Return the number of rounds of a run.

    Raises ``ConfigError`` when neither the strategy nor the config sets it, or both differ.
    """
    own: int | None = getattr(strategy, "num_rounds", None)
    asked = config.federation.rounds
    if own is None and asked is None:
        raise ConfigError("federation.rounds=null: this strategy needs a number of rounds")
    if own is not None and asked is not None and own != asked:
        raise ConfigError(
            f"federation.rounds={asked}: this strategy takes {own} with its other settings; "
            "leave it null"
        )
    return asked if own is None else own  # type: ignore[return-value]


def average_metrics(metrics: list[tuple[int, dict[str, Any]]]) -> dict[str, Any]:
    """Return the clients' metrics averaged by their number of samples."""
    total = sum(count for count, _ in metrics)
    keys = metrics[0][1] if metrics else {}
    return {key: sum(count * found[key] for count, found in metrics) / total for key in keys}


def _round_config(server_round: int) -> dict[str, Any]:
    return {"round": server_round}


def _accepted(target: str, runtime: dict[str, Any]) -> dict[str, Any]:
    """Select the arguments of a class, including those for its base classes by ``**kwargs``."""
    try:
        cls = get_class(target)
    except (ImportError, ValueError) as error:
        reason = why_not_loaded(target, error)
        raise ConfigError(f"strategy._target_={target}: {reason}") from error
    names: set[str] = set()
    for base in cls.__mro__:
        parameters = signature(base).parameters
        names |= set(parameters)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            break
    return {key: value for key, value in runtime.items() if key in names}
