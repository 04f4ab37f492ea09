"""One run of a case: a table of quality and bytes, round by round."""

from pathlib import Path

import pandas as pd
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from flwr.common import NDArrays, Scalar
from flwr.server import ServerAppComponents, ServerConfig
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvgM

from experiments.benchmarks.updates import classifier
from experiments.benchmarks.updates.carried import Carried, by_round, of_ledger
from experiments.benchmarks.updates.cases import PLAIN, Case
from experiments.benchmarks.updates.peer_wire import PeerGrid, peer_mod
from experiments.benchmarks.updates.peers import get_peer
from experiments.study.app_runs import train
from flwr_gan.app.client import client_fn
from flwr_gan.app.federation import build_strategy, load_federation
from flwr_gan.app.overrides import split_overrides
from flwr_gan.app.scoring import Scorer
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import CompressedGrid, CompressionMod
from flwr_gan.wire.ledger import Ledger


def run_case(case: Case, folder: Path) -> pd.DataFrame:
    """Run a case and return a row a round; a GAN's run goes on where it was interrupted.

    Parameters
    ----------
    case : Case
        What to run.
    folder : Path
        Of the run, which a GAN with a wire needs.
    """
    if case.task.images:
        return _classifier(case)
    return _plain_gan(case) if case.wire.up == PLAIN else _gan(case, folder)


def _gan(case: Case, folder: Path) -> pd.DataFrame:
    begun = (folder / "config.yaml").exists()
    wire = f"codec_up={case.wire.up} codec_down={case.wire.down}"
    asked = f"{case.overrides} {wire} output_dir={folder}"
    train(split_overrides(f"resume={folder}" if begun else asked))
    rounds = pd.read_csv(folder / "rounds.csv")
    messages = pd.read_csv(folder / "messages.csv")
    return by_round(
        of_ledger(messages), dict(zip(rounds["round"], rounds[case.task.quality], strict=True))
    )


def _plain_gan(case: Case) -> pd.DataFrame:
    """Run the app of this package under Flower alone: no mod, no wrapper."""
    federation = load_federation(case.overrides)
    strategy = build_strategy(federation)
    scorer = Scorer(federation, strategy)
    quality: dict[int, float] = {}

    def evaluate(
        server_round: int, weights: NDArrays, config: dict[str, Scalar]
    ) -> tuple[float, dict[str, Scalar]]:
        quality[server_round] = scorer.score(server_round, weights, [])[case.task.quality]
        return quality[server_round], {}

    strategy.evaluate_fn = evaluate

    def server_fn(context: object) -> ServerAppComponents:
        config = ServerConfig(num_rounds=case.rounds)
        return ServerAppComponents(strategy=strategy, config=config)

    carried = Carried()
    run_apps(
        ServerApp(server_fn=server_fn),
        ClientApp(lambda context: client_fn(context).to_client()),
        num_supernodes=federation.config.federation.num_clients,
        run_config={"overrides": case.overrides},
        on_reply=carried.weigh,
    )
    return by_round(carried.table(), quality)


def _classifier(case: Case) -> pd.DataFrame:
    wire, options = case.wire, case.wire.options
    strategy = FedAvgM(
        fraction_evaluate=0.0,
        min_train_nodes=classifier.CLIENTS,
        min_available_nodes=classifier.CLIENTS,
        server_momentum=options.pop("server_momentum", 0.0),
    )
    quality: dict[int, float] = {}
    carried, ledger = Carried(), Ledger()
    mods: list[Mod] = []
    if wire.own:
        mods = [CompressionMod(initial=lambda _: classifier.initial_arrays(case.seed))]
    elif wire.up != PLAIN:
        mods = [peer_mod(get_peer(wire.up), classifier.initial_arrays(case.seed))]

    def wrap(grid: Grid) -> Grid:
        if wire.own:
            return CompressedGrid(
                grid, ledger=ledger, codec_up=wire.up, codec_down=wire.down, **options
            )
        return grid if wire.up == PLAIN else PeerGrid(grid, get_peer(wire.up))

    run_apps(
        classifier.server_app(
            wrap,
            seed=case.seed,
            rounds=case.rounds,
            strategy=strategy,
            on_round=quality.__setitem__,
        ),
        classifier.client_app(mods, seed=case.seed, images=case.task.images),
        num_supernodes=classifier.CLIENTS,
        run_config={},
        on_reply=None if wire.own else carried.weigh,
    )
    return by_round(of_ledger(ledger.to_frame()) if wire.own else carried.table(), quality)
