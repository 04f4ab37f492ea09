"""The server app: ``flwr_gan.server_app:app``."""

from collections.abc import Sequence
from datetime import datetime

from flwr.app import Context
from flwr.server import ServerAppComponents, ServerConfig
from flwr.serverapp import ServerApp

from flwr_gan.config import load_config, split_overrides
from flwr_gan.errors import ConfigError
from flwr_gan.flower.server import RoundServer
from flwr_gan.flower.strategy import CompressedStrategy
from flwr_gan.run import Run
from flwr_gan.wiring import Federation, build_strategy, federation_from, load_federation, num_rounds


def build_run(federation: Federation) -> Run:
    """Return a run that is ready to start: config, data, split and strategy are all checked."""
    config = federation.config
    if config.resume is None and (config.folder / "config.yaml").exists():
        raise ConfigError(
            f"output_dir={config.folder} holds a run already: choose another, or resume="
            f"{config.folder}"
        )
    strategy = CompressedStrategy(
        build_strategy(federation),
        codec=config.codec,
        seed=config.seed,
        also_codecs=config.also_codecs,
        memory=config.memory,
        feedback=config.feedback,
    )
    if config.evaluation == "clients" and hasattr(strategy.inner, "sample"):
        raise ConfigError(
            f"evaluation=clients needs a global generator, and {type(strategy.inner).__name__} "
            "has none: use evaluation=server"
        )
    return Run(federation, strategy, num_rounds(config, strategy.inner))


def server_fn(context: Context) -> ServerAppComponents:
    """Return the server that a context's run config describes."""
    run = build_run(federation_from(context))
    parameters = run.open()
    server = RoundServer(
        strategy=run.strategy,
        num_clients=run.config.federation.num_clients,
        first_round=run.first_round,
        parameters=parameters,
        on_round=run.on_round,
    )
    return ServerAppComponents(server=server, config=ServerConfig(num_rounds=run.num_rounds))


def prepare_run_config(items: str, num_supernodes: int | None) -> tuple[dict[str, str], int]:
    """Check Hydra overrides from the command line before anything starts.

    Parameters
    ----------
    items : str
        Space-separated overrides.
    num_supernodes : int or None
        The number of nodes asked for beside them.

    Returns
    -------
    run_config : dict
        Flower's run config: the overrides, with the output folder settled.
    num_supernodes : int
        How many nodes to start.

    Raises
    ------
    FlwrGanError
        When a setting, the data or the split is not usable.
    """
    overrides = split_overrides(items)
    named = _value("federation.num_clients", overrides)
    if num_supernodes is not None:
        if named is not None and named != str(num_supernodes):
            raise ConfigError(
                f"--num-supernodes {num_supernodes} and federation.num_clients={named} differ: "
                "give one of them"
            )
        if _value("resume", overrides) is None and named is None:
            overrides.append(f"federation.num_clients={num_supernodes}")
    config = load_config(overrides)
    if num_supernodes not in (None, config.federation.num_clients):
        raise ConfigError(
            f"--num-supernodes {num_supernodes}: the resumed run has "
            f"{config.federation.num_clients} clients; drop the option"
        )
    if config.output_dir is None:
        folder = f"runs/{datetime.now():%Y-%m-%d_%H%M%S}_{config.name}"
        overrides.append(f"output_dir={folder}")
    federation = load_federation(" ".join(overrides))
    build_run(federation)
    return {"overrides": " ".join(overrides)}, federation.config.federation.num_clients


def _value(key: str, overrides: Sequence[str]) -> str | None:
    values = [item.split("=", 1)[1] for item in overrides if item.startswith(f"{key}=")]
    return values[-1] if values else None


app = ServerApp(server_fn=server_fn)
