"""One case: its run, with quality and bytes per round."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pandas as pd
from flwr.app import Message
from flwr.clientapp.typing import Mod
from flwr.common import NDArrays, Scalar
from flwr.server.strategy import Strategy
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvgM

from experiments.benchmarks.updates import classifier
from experiments.benchmarks.updates.cases import (
    PLAIN,
    TASKS,
    WIRES,
    Task,
    Wire,
    few_wires,
    shortened,
)
from experiments.benchmarks.updates.peer_wire import PeerGrid, peer_mod
from experiments.benchmarks.updates.peers import get_peer
from experiments.study.app_runs import finish_run, run_plain
from experiments.study.cases import StudyCase
from flwr_gan.app.federation import Federation
from flwr_gan.app.overrides import split_overrides
from flwr_gan.app.scoring import Scorer
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower import CompressedGrid, CompressionMod
from flwr_gan.flower.records import message_bytes
from flwr_gan.wire.ledger import Ledger

BYTES = ("up_message_bytes", "down_message_bytes", "up_payload_bytes", "down_payload_bytes")


@dataclass(frozen=True)
class Case(StudyCase):
    """One run."""

    task: Task  # the trained network and its data
    wire: Wire  # the codecs of updates
    seed: int  # of the run

    @property
    def place(self) -> Mapping[str, Any]:
        """The case as columns."""
        wire = {"codec_up": self.wire.up, "codec_down": self.wire.down}
        return {"task": self.task.name, **wire, "settings": self.wire.settings, "seed": self.seed}

    @property
    def name(self) -> str:
        """Name of its folder."""
        words = [self.task.name, self.wire.up, self.wire.down, *self.wire.settings.split()]
        text = "_".join([*words, str(self.rounds), f"seed{self.seed}"])
        return "".join(letter if letter.isalnum() or letter in "_.-+" else "-" for letter in text)

    @property
    def rounds(self) -> int:
        """Number of rounds."""
        return self.wire.rounds or self.task.rounds

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return self.rounds * self.task.round_s

    @property
    def overrides(self) -> str:
        """Settings of a GAN's run except its wire and its folder."""
        rounds = f"federation.rounds={self.rounds} seed={self.seed}"
        return " ".join(filter(None, (self.task.overrides, rounds, self.wire.settings)))

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that the result of the run depends on."""
        return {
            "task": self.task.name,
            "overrides": self.overrides,
            "images": self.task.images,
            "codec_up": self.wire.up,
            "codec_down": self.wire.down,
        }

    def measure(self, folder: Path) -> dict[str, Any]:
        """Run it and return its rounds; an interrupted run of a GAN is resumed."""
        if self.task.images:
            rounds = _classifier(self)
        else:
            rounds = _plain_gan(self) if self.wire.up == PLAIN else _gan(self, folder / "run")
        total = rounds["up_message_bytes"].sum() + rounds["down_message_bytes"].sum()
        return {
            "quality": float(rounds["quality"].iloc[-1]),
            "megabytes": float(total / 1e6),
            "rounds": rounds.to_dict("records"),
        }


def all_cases(
    preset: str, *, seeds: Sequence[int], tasks: Sequence[str] = tuple(TASKS)
) -> Iterator[Case]:
    """Yield the cases, seed after seed; ``short`` has two tiny rounds and few wires."""
    for seed in seeds:
        for name in tasks:
            task, wires = TASKS[name], WIRES[name]
            if preset == "short":
                task, wires = shortened(task), few_wires(wires)
            yield from (
                Case(task, wire, seed) for wire in wires if not wire.once or seed == seeds[0]
            )


def _gan(case: Case, folder: Path) -> pd.DataFrame:
    wire = f"codec_up={case.wire.up} codec_down={case.wire.down}"
    run = finish_run(split_overrides(f"{case.overrides} {wire}"), folder)
    rounds, messages = pd.read_csv(run / "rounds.csv"), pd.read_csv(run / "messages.csv")
    quality = dict(zip(rounds["round"], rounds[case.task.quality], strict=True))
    return by_round(_of_ledger(messages), quality)


def _plain_gan(case: Case) -> pd.DataFrame:
    quality: dict[int, float] = {}

    def score_rounds(federation: Federation, strategy: Strategy) -> None:
        scorer = Scorer(federation, strategy)

        def evaluate(
            server_round: int, weights: NDArrays, config: dict[str, Scalar]
        ) -> tuple[float, dict[str, Scalar]]:
            quality[server_round] = scorer.score(server_round, weights, [])[case.task.quality]
            return quality[server_round], {}

        strategy.evaluate_fn = evaluate  # type: ignore[attr-defined]

    carried = Carried()
    run_plain(case.overrides, on_reply=carried.weigh, prepare=score_rounds)
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
        return grid if wire.up == PLAIN else cast(Grid, PeerGrid(grid, get_peer(wire.up)))

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
    return by_round(_of_ledger(ledger.to_frame()) if wire.own else carried.table(), quality)


class Carried:
    """Counts message bytes of runs without this package's wire, which has its own ledger."""

    def __init__(self) -> None:
        self._rounds: dict[int, dict[str, int]] = {}

    def weigh(self, message: Message, reply: Message) -> None:
        """Count a message and its reply; payloads are their arrays as stored."""
        # strategies of the message API set the round in the config
        config = message.content.config_records.get("config")
        word = message.metadata.group_id if config is None else config["server-round"]
        total = self._rounds.setdefault(int(str(word)), dict.fromkeys(BYTES, 0))
        for direction, content in (("down", message.content), ("up", reply.content)):
            arrays = [
                array for record in content.array_records.values() for array in record.values()
            ]
            total[f"{direction}_message_bytes"] += message_bytes(content)
            total[f"{direction}_payload_bytes"] += sum(len(array.data) for array in arrays)

    def table(self) -> pd.DataFrame:
        """Return the bytes of all clients, one row per round, which is the index."""
        return pd.DataFrame.from_dict(self._rounds, orient="index", columns=list(BYTES))


def _of_ledger(messages: pd.DataFrame) -> pd.DataFrame:
    """Return the same table from the rows of a ledger."""
    training = messages[messages["kind"] == "train"]
    found = training.groupby(["round", "direction"])[["message_bytes", "payload_bytes"]].sum()
    directions = ((*name.split("_", 1), name) for name in BYTES)
    return pd.DataFrame(
        {name: found[measure].xs(way, level="direction") for way, measure, name in directions}
    )


def by_round(carried: pd.DataFrame, quality: Mapping[int, float]) -> pd.DataFrame:
    """Return one row per round with quality and bytes; round 0 has only the first broadcast.

    ``carried`` are the bytes by round, from 1; ``quality`` is the quality after each round.
    """
    down = [name for name in BYTES if name.startswith("down")]
    table = carried.sort_index()
    table.loc[0] = 0
    table.loc[0, down] = table.loc[1, down]
    table.loc[1, down] = 0
    table = table.sort_index().astype("int64")
    table.insert(0, "quality", [quality.get(int(number), float("nan")) for number in table.index])
    return table.rename_axis("round").reset_index()
