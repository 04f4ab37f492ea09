"""Savings and cost of each step of the wire in a federated ticket run, per round.

``python -m experiments.benchmarks.protocol [--short] [--output FILE]`` runs the quickstart with
plain Flower, zlib, sparse without and with memory between rounds, and differences of 8, 6 and 4
bits, with three seeds. It writes one row per round, a summary (``_summary.csv``) and a picture
(``.png``). Finished runs are kept in ``--folder`` and not repeated.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.benchmarks.output import output_file, run_benchmark
from experiments.study.app_runs import finish_run, plain_bytes
from experiments.study.figures import tidy
from flwr_gan.app.overrides import split_overrides
from flwr_gan.core.atomic import write_text
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


def run_wire(wire: str, seed: int, folder: Path, settings: str) -> pd.DataFrame:
    """Return the rounds of one run, from its folder if it is finished."""
    place = folder / f"{wire.replace(' ', '_').replace(',', '').replace(':', '.')}_seed{seed}"
    overrides = f"{settings} seed={seed} output_dir={place}"
    own = WIRES[wire]
    if own is None:
        path = place.with_suffix(".csv")
        if not path.exists():
            write_text(path, plain_bytes(overrides).to_csv(index=False))
        rounds = pd.read_csv(path)
    else:
        finish_run(split_overrides(f"{settings} seed={seed} {own}"), place)
        rounds = pd.read_csv(place / "rounds.csv")
        rounds["bytes"] = rounds.up_bytes + rounds.down_bytes
        messages = pd.read_csv(place / "messages.csv")
        rounds["payload_bytes"] = rounds["round"].map(messages.groupby("round").payload_bytes.sum())
    return rounds.assign(wire=wire, seed=seed)


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Return total bytes, ratio to plain Flower and final quality: mean and spread over seeds."""
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
    """Draw the bytes of each round with each wire, means over seeds."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for wire, colour, dash in zip(WIRES, COLOURS, DASHES, strict=True):
        mean = table[table.wire == wire].groupby("round")["bytes"].mean() / 1000
        axes.plot(mean.index, mean, color=colour, linestyle=dash, linewidth=1.6, label=wire)
    axes.set_yscale("log")
    axes.set_xlabel("round")
    axes.set_ylabel("bytes of a round in transport, all clients (kB)")
    tidy(axes, which="both")
    figure.legend(loc="outside right upper", frameon=False, title="wire")
    return figure


def measure(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield one row per round, and one row per wire; draw the picture."""
    seeds = options.seeds or (1 if options.short else 3)
    folder = options.folder or (FOLDER.with_name("protocol_short") if options.short else FOLDER)
    settings = f"{SHORT} {options.settings}" if options.short else options.settings
    jobs = [(wire, seed) for wire in WIRES for seed in range(seeds)]
    parts = []
    for number, (wire, seed) in enumerate(jobs, start=1):
        parts.append(run_wire(wire, seed, folder, settings))
        total = parts[-1]["bytes"].sum()
        print(f"{number}/{len(jobs)} {wire}, seed {seed}: {total:,} bytes", flush=True)
    table = pd.concat(parts)
    yield "", table[["wire", "seed", "round", "sparsity", "bytes", "payload_bytes"]]
    yield "_summary", summarise(table)
    save_figure(picture(table), output_file(options, "protocol").with_suffix(".png"))


main = partial(
    run_benchmark, "protocol", __doc__, measure, short="hardly any training, one seed",
    own={
        "--seeds": {"type": int, "help": "default: 3"},
        "--folder": {"type": Path, "help": f"of the runs; default: {FOLDER}"},
        "--settings": {"default": "", "metavar": "'K=V K=V'", "help": "of the quickstart"},
    },
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
