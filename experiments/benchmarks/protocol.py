"""What each step of the wire saves in a federated ticket run, round by round, and what it costs.

``python -m experiments.benchmarks.protocol [--short] [--output FILE]`` runs the quickstart under
plain Flower, zlib, sparse without and with memory between rounds, and differences of 8, 6 and 4
bits, with three seeds, and writes a row a round, and beside it a summary (``_summary.csv``) and a
picture (``.png``). Finished runs are kept in ``--folder`` and not repeated.
"""

import argparse
import json
import logging
from pathlib import Path

import pandas as pd
from flwr.app import Message
from flwr.clientapp import ClientApp
from flwr.server import ServerAppComponents, ServerConfig
from flwr.serverapp import ServerApp
from matplotlib.figure import Figure

from experiments.benchmarks.output import add_output, output_file
from experiments.runner import train
from flwr_gan.app.client import client_fn
from flwr_gan.app.federation import build_strategy, load_federation
from flwr_gan.app.overrides import split_overrides
from flwr_gan.core.atomic import write_text
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.flower.records import message_bytes
from flwr_gan.plots import save_figure

FOLDER = Path("runs/protocol")
SHORT = (
    "federation.num_clients=2 gan.local_iterations=2 strategy.rounds_per_level=1 "
    "lottery.iterations=1 evaluation=server samples_per_class=10"
)
WIRES = {
    "plain Flower": None,
    "zlib:9": "codec=zlib:9 memory=false",
    "sparse, each alone": "codec=sparse memory=false",
    "sparse": "codec=sparse",
    "sparse:int8, no feedback": "codec=sparse:int8 feedback=false",
    "sparse:int8": "codec=sparse:int8",
    "sparse:int6": "codec=sparse:int6",
    "sparse:int4": "codec=sparse:int4",
}
COLOURS = (
    "#000000", "#e69f00", "#56b4e9", "#0072b2", "#f0e442", "#009e73", "#cc79a7", "#d55e00",
)  # fmt: skip
DASHES = ("-", "--", "-.", "-", "--", "-", "-.", ":")


def plain_bytes(overrides: str) -> pd.DataFrame:
    """Return the transport's bytes of each round under Flower alone: no mod, no wrapper."""
    federation = load_federation(overrides)
    strategy = build_strategy(federation)
    carried: dict[int, int] = {}

    def weigh(message: Message, reply: Message) -> None:
        server_round = int(message.metadata.group_id)
        size = message_bytes(message.content) + message_bytes(reply.content)
        carried[server_round] = carried.get(server_round, 0) + size

    def server_fn(context: object) -> ServerAppComponents:
        return ServerAppComponents(
            strategy=strategy, config=ServerConfig(num_rounds=strategy.num_rounds)
        )

    run_apps(
        ServerApp(server_fn=server_fn),
        ClientApp(lambda context: client_fn(context).to_client()),
        num_supernodes=federation.config.federation.num_clients,
        run_config={"overrides": overrides},
        on_reply=weigh,
    )
    return pd.DataFrame({"round": list(carried), "bytes": list(carried.values())})


def run_wire(wire: str, seed: int, folder: Path, settings: str) -> pd.DataFrame:
    """Return the rounds of one run, from its folder where it is finished already."""
    place = folder / f"{wire.replace(' ', '_').replace(',', '').replace(':', '.')}_seed{seed}"
    overrides = f"{settings} seed={seed} output_dir={place}"
    own = WIRES[wire]
    if own is None:
        path = place.with_suffix(".csv")
        if not path.exists():
            table = plain_bytes(" ".join(split_overrides(overrides)))
            write_text(path, table.to_csv(index=False))
        rounds = pd.read_csv(path)
    else:
        if not (place / "summary.json").exists():
            text = f"resume={place}" if (place / "config.yaml").exists() else f"{overrides} {own}"
            train(split_overrides(text))
        rounds = pd.read_csv(place / "rounds.csv")
        rounds["bytes"] = rounds.up_bytes + rounds.down_bytes
        messages = pd.read_csv(place / "messages.csv")
        rounds["payload_bytes"] = rounds["round"].map(messages.groupby("round").payload_bytes.sum())
    return rounds.assign(wire=wire, seed=seed)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return total bytes, ratio to plain Flower and final quality, mean and spread over seeds."""
    total = table.groupby(["wire", "seed"], sort=False)["bytes"].sum().unstack("seed")
    last = table.sort_values("round").groupby(["wire", "seed"], sort=False).last()
    rows = []
    for wire in WIRES:
        row: dict[str, object] = {
            "wire": wire,
            "total_bytes": round(total.loc[wire].mean()),
            "ratio_to_plain": (total.loc["plain Flower"] / total.loc[wire]).mean(),
        }
        for measure in ("conditional_accuracy", "synthetic_accuracy", "frechet_distance"):
            values = last.loc[wire][measure]
            row |= {measure: values.mean(), f"{measure}_std": values.std()}
        rows.append(row)
    return pd.DataFrame(rows)


def picture(table: pd.DataFrame) -> Figure:
    """Draw the bytes of each round under each wire, the mean over seeds."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for wire, colour, dash in zip(WIRES, COLOURS, DASHES, strict=True):
        mean = table[table.wire == wire].groupby("round")["bytes"].mean() / 1000
        axes.plot(mean.index, mean, color=colour, linestyle=dash, linewidth=1.6, label=wire)
    axes.set_yscale("log")
    axes.set_xlabel("round")
    axes.set_ylabel("bytes of a round in transport, all clients (kB)")
    axes.grid(alpha=0.3, which="both")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, title="wire")
    return figure


def main() -> None:
    """Run what is not finished and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    add_output(parser, "protocol", short="hardly any training, one seed")
    parser.add_argument("--seeds", type=int, help="default: 3")
    parser.add_argument("--folder", type=Path, help=f"of the runs; default: {FOLDER}")
    parser.add_argument("--settings", default="", metavar="'K=V K=V'", help="of the quickstart")
    options = parser.parse_args()
    logging.getLogger("flwr").setLevel(logging.ERROR)
    seeds = options.seeds or (1 if options.short else 3)
    folder = options.folder or (FOLDER.with_name("protocol_short") if options.short else FOLDER)
    settings = f"{SHORT} {options.settings}" if options.short else options.settings
    jobs = [(wire, seed) for wire in WIRES for seed in range(seeds)]
    parts = []
    for number, (wire, seed) in enumerate(jobs, start=1):
        parts.append(run_wire(wire, seed, folder, settings))
        print(
            f"{number}/{len(jobs)} {wire}, seed {seed}: {parts[-1]['bytes'].sum():,} bytes",
            flush=True,
        )
    table = pd.concat(parts)
    summary = summarise(table)
    columns = ["wire", "seed", "round", "sparsity", "bytes", "payload_bytes"]
    output = output_file(options, "protocol")
    write_text(output, table[columns].to_csv(index=False))
    write_text(output.with_stem(f"{output.stem}_summary"), summary.to_csv(index=False))
    save_figure(picture(table), output.with_suffix(".png"))
    print(json.dumps({"seeds": seeds, "settings": settings}))
    print(summary.to_string(index=False, float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
