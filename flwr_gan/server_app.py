"""The server app: ``flwr_gan.server_app:app``."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import partial
from logging import getLogger
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.common import Parameters, Scalar
from flwr.server.strategy import FedAvg, FedProx, Strategy
from flwr.serverapp import Grid, ServerApp

from flwr_gan.app.asynchronous import Loop, check_asynchronous
from flwr_gan.app.config import load_config, read_config
from flwr_gan.app.federation import Federation, federation_from, federation_of
from flwr_gan.app.nodes import Roster
from flwr_gan.app.overrides import given, split_overrides
from flwr_gan.app.run import Run
from flwr_gan.app.run_config import RunConfig
from flwr_gan.app.server import GridClients, with_one_thread
from flwr_gan.app.strategy import build_strategy, num_rounds
from flwr_gan.app.timing import RunClock
from flwr_gan.app.together import run_together
from flwr_gan.core.heap import prompt_collection
from flwr_gan.core.logs import log_to_stdout
from flwr_gan.errors import ConfigError, OutputError, PartitionError
from flwr_gan.flower import Asynchronous, CompressedStrategy, TakesCodedReplies

log = getLogger(__name__)

FINISHED = "{} is finished already: nothing is left to do"


def build_run(federation: Federation) -> Run:
    """Return a run that is ready to start, after checking config, data, split and strategy."""
    config = federation.config
    if config.resume is None and (config.folder / "config.yaml").exists():
        raise ConfigError(
            f"output_dir={config.folder} holds a run already: choose another, or resume="
            f"{config.folder}"
        )
    inner = build_strategy(federation)
    try:
        strategy = CompressedStrategy(
            inner,
            codec=config.codec,
            codec_up=config.codec_up,
            codec_down=config.codec_down,
            seed=config.seed,
            also_codecs=config.also_codecs,
            memory=config.memory,
            feedback=config.feedback,
            seeded_start=config.seeded_start,
        )
    except TypeError as error:
        raise ConfigError(f"strategy._target_={config.strategy['_target_']}: {error}") from error
    if config.evaluation == "clients" and hasattr(inner, "sample"):
        raise ConfigError(
            f"evaluation=clients needs a global generator, and {type(inner).__name__} "
            "has none: use evaluation=server"
        )
    if config.method is not None and not hasattr(inner, "sample"):
        raise ConfigError(
            f"method._target_={config.method['_target_']} makes another generator of the one that "
            f"{type(inner).__name__} averages: use strategy=generator_pool or distilled_pool, or "
            "method=none"
        )
    if not federation.split and (config.evaluation == "server" or federation.drift is not None):
        raise ConfigError(
            f"data={federation.dataset.name} has no samples on the server: give evaluation=none or "
            "clients, and drift=none"
        )
    if isinstance(inner, Asynchronous):
        check_asynchronous(federation, type(inner).__name__)
    _check_adaptive(federation, inner)
    _check_shares(federation)
    if config.resume is not None and not _is_finished(config):
        _check_resumable(config.resume, inner)
    rounds = num_rounds(config, inner)
    if not isinstance(rounds, int) or rounds < 1:
        raise ConfigError(
            f"{type(inner).__name__} takes {rounds} rounds: allowed is a whole number of at least 1"
        )
    timed = config.has_clock or isinstance(inner, Asynchronous)
    clock = RunClock(federation, inner) if timed else None
    if clock is not None:
        strategy.exchange.up_mbit_s = clock.up_mbit_s
    return Run(federation, strategy, rounds, clock=clock)


app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the remaining rounds of the run in the run config."""
    real_nodes = "config" not in context.run_config  # under ``flwr run``
    if real_nodes:
        log_to_stdout()
    run = build_run(federation_from(context))
    settings = run.config.federation
    if _is_finished(run.config):
        log.info("%s", FINISHED.format(run.config.folder))
        return
    log.info("results: %s", run.config.folder.absolute())
    roster = Roster(grid, run.federation) if real_nodes else None
    strategy = run.strategy
    clients = GridClients(grid, roster=roster, timeout_s=settings.round_timeout_s)
    clients.await_clients(settings.num_clients, wait_s=settings.wait_s)
    run.own_data = roster is not None and roster.own_data
    if not (run.own_data or run.federation.split):
        raise ConfigError(
            f"data={run.federation.dataset.name}, and the nodes have no data of their own: start "
            "each with --node-config 'data.KEY=...', such as data.path or data.root"
        )
    run.clock = None if run.clock is None else run.clock.on(grid)
    resumed = run.open()
    parameters = resumed or strategy.initialize_parameters(clients)
    assert parameters is not None, "there are nodes to ask"
    one_round: Callable[[int, Parameters], tuple[Parameters, dict[str, Scalar]]]
    one_round = partial(_round, run, clients)
    if isinstance(strategy.inner, Asynchronous):
        one_round = Loop(run, clients).round
    unfinished: Future[None] | None = None
    with prompt_collection(), ThreadPoolExecutor(1, "flwr_gan round") as behind:
        for server_round in range(run.first_round, run.num_rounds + 1):
            begun = time.perf_counter()
            parameters, metrics = one_round(server_round, parameters)
            if unfinished is not None:
                unfinished.result()
            seconds = time.perf_counter() - begun
            finish = run.on_round(server_round, parameters, metrics, seconds)
            last = server_round == run.num_rounds
            if run.may_run_ahead and clients.compute_elsewhere and not last:
                unfinished = behind.submit(with_one_thread, finish)
            else:
                finish()


def _round(
    run: Run, clients: GridClients, server_round: int, parameters: Parameters
) -> tuple[Parameters, dict[str, Scalar]]:
    """Let the chosen clients train, then evaluate; return the new parameters and the measures."""
    settings, strategy = run.config.federation, run.strategy
    clients.await_clients(settings.least_clients, wait_s=settings.wait_s)
    if asked := strategy.configure_fit(server_round, parameters, clients):
        results, failures = clients.fit(asked, server_round)
        if run.clock is not None:
            results = run.clock.fitted(server_round, results, strategy.ledger)
        aggregated, _ = strategy.aggregate_fit(server_round, results, failures)
        parameters = aggregated or parameters
    run.require_reply(server_round)
    metrics: dict[str, Scalar] = {}
    if asked_to_evaluate := strategy.configure_evaluate(server_round, parameters, clients):
        scores = clients.evaluate(asked_to_evaluate, server_round)
        metrics = strategy.aggregate_evaluate(server_round, *scores)[1]
        if run.clock is not None:
            run.clock.evaluated(server_round, strategy.ledger)
    return parameters, metrics


def prepare_run_config(items: str, num_supernodes: int | None) -> tuple[dict[str, str], int]:
    """Check Hydra overrides from the command line before anything starts; nothing is written.

    Returns Flower's run config (the resolved config as YAML with an output folder) and the number
    of nodes to start. Raises ``FlwrGanError`` when a setting, the data or the split is not usable.
    """
    overrides = split_overrides(items)
    resumes = given("resume", overrides) is not None
    named = given("federation.num_clients", overrides)
    if num_supernodes is not None:
        if named is not None and named != str(num_supernodes):
            raise ConfigError(
                f"--num-supernodes {num_supernodes} and federation.num_clients={named} differ: "
                "give one of them"
            )
        if not resumes and named is None:
            overrides.append(f"federation.num_clients={num_supernodes}")
    config = load_config(overrides)
    if num_supernodes not in (None, config.federation.num_clients):
        raise ConfigError(
            f"--num-supernodes {num_supernodes}: the resumed run has "
            f"{config.federation.num_clients} clients; drop the option"
        )
    if config.output_dir is None:
        config = config.changed(output_dir=f"runs/{datetime.now():%Y-%m-%d_%H%M%S}_{config.name}")
    resolved = config.to_yaml()
    if not _is_finished(config):
        _check_writable(config.folder)
        build_run(federation_of(resolved))
    return {"config": resolved}, config.federation.num_clients


def engine_settings(run_config: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings of ``run_apps`` that follow from a run's config.

    ``clients_at_once`` clients of the inline engine train in one program, by ``run_together``;
    ``in_one_process`` is the setting that keeps the clients in one process, None if there is none.
    """
    settings = read_config(run_config["config"]).federation
    ordinary = {"clients_at_once": 1, "threads": 1, "device": "cpu"}
    found = {name: getattr(settings, name) for name in ordinary}
    alone = [f"federation.{name}={found[name]}" for name in found if found[name] != ordinary[name]]
    return {
        "clients_at_once": settings.clients_at_once,
        "run_together": run_together,
        "in_one_process": alone[0] if alone else None,
    }


def nothing_left(run_config: Mapping[str, str]) -> str | None:
    """Return a message if the run to resume is already finished, else None."""
    config = read_config(run_config["config"])
    return FINISHED.format(config.folder) if _is_finished(config) else None


def _is_finished(config: RunConfig) -> bool:
    """Return whether the run to resume has written its summary, which comes last."""
    return config.resume is not None and (Path(config.resume) / "summary.json").exists()


def _check_adaptive(federation: Federation, strategy: Strategy) -> None:
    """Raise if drift, regeneration or unchanged replies are combined with unsupported settings."""
    config, name = federation.config, type(strategy).__name__
    one_shot, prunes = hasattr(strategy, "sample"), hasattr(strategy, "pruner")
    for group, refused in (("drift", one_shot or prunes), ("regeneration", prunes)):
        if getattr(config, group) is not None and refused:
            raise ConfigError(
                f"{group} beside {name}, whose rounds it does not fit: use strategy=continual, "
                f"masked_fedavg or fedavg, or {group}=none"
            )
    if config.regeneration is not None and getattr(strategy, "proximal_mu", None):
        raise ConfigError(
            "strategy.proximal_mu above 0 cannot be combined with regeneration: set one of them to "
            "0 or none"
        )
    silent = isinstance(strategy, TakesCodedReplies) and strategy.reply_rules().may_be_empty
    if silent and config.privacy:
        raise ConfigError(f"privacy does not go with {name}, whose clients may be silent: drop it")
    if federation.drift is not None:  # fails here if the clients' data do not allow it
        for client in range(len(federation.split)):
            federation.samples_in(0, federation.samples_of(client), client)


def _check_shares(federation: Federation) -> None:
    """Raise unless each client that evaluates has both held-out and training samples."""
    settings = federation.config.federation
    if federation.config.evaluation != "clients":
        return
    for client, indices in enumerate(federation.split):
        held_out = max(1, round(settings.holdout * len(indices)))
        if held_out < 2 or len(indices) - held_out < 1:
            raise PartitionError(
                f"federation.holdout={settings.holdout} holds out {held_out} of the "
                f"{len(indices)} samples of client {client}, and evaluation=clients needs 2 or "
                "more held out and 1 or more to train on: change federation.holdout, lower "
                "federation.num_clients or choose another partition"
            )


def _check_resumable(folder: str, strategy: Strategy) -> None:
    if isinstance(strategy, Asynchronous):
        raise ConfigError(
            f"resume={folder}: clients of {type(strategy).__name__} were at work when it was "
            "interrupted, which no checkpoint holds; start a new run"
        )
    if not hasattr(strategy, "state_dict") and type(strategy) not in (FedAvg, FedProx):
        raise ConfigError(
            f"resume={folder}: {type(strategy).__name__} may keep state that no checkpoint "
            "holds; start a new run"
        )


def _check_writable(folder: Path) -> None:
    """Create the missing folders in a temporary place next to their target, then remove it.

    Raises ``OutputError`` when they cannot be created.
    """
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    missing = folder.absolute().relative_to(existing)
    if ".." in missing.parts:  # would leave the temporary place
        raise OutputError(
            f"cannot write {folder}: .. follows a folder that is not there; choose another "
            "output_dir"
        )
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=existing) as probe:
            (Path(probe) / missing).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror}; choose another output_dir"
        ) from error
