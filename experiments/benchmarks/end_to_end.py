"""Wall time and bytes to a target quality, over links of 1, 10 and 100 Mbit/s.

``python -m experiments.benchmarks.end_to_end [--short] [--output FILE]`` runs the main job once
with each codec and seed, and finds the first round whose samples are good enough. The table has
one row per codec and link, with means over seeds up to that round:

- ``message_bytes`` are the measured bytes in Flower's transport, both ways, all clients;
- ``compute_s`` is the measured wall time of the rounds: training, coding and scoring, the clients
  one after another on this machine;
- ``transfer_s_computed`` is computed, not measured: the time of these bytes over one link, the
  server's, without latency;
- ``total_s_computed`` is the sum of both, ``ratio`` the total of ``raw`` divided by that of the
  codec, ``bytes_ratio`` the bytes of ``raw`` divided by those of the codec.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from experiments.benchmarks.output import run_benchmark
from experiments.study.app_runs import train
from flwr_gan.app.overrides import split_overrides
from flwr_gan.errors import ConfigError

CODECS = ("raw", "zstd:19", "sparse", "sparse:int8")
BASELINE = "raw"
LINKS_MBIT_S = (1, 10, 100)
MEASURE = "synthetic_accuracy"
TARGET, SHORT_TARGET = 0.93, 0.2
SHORT = "lottery.iterations=1 strategy.rounds_per_level=2 samples_per_class=50"


def measure(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table of all codecs and links."""
    target = options.target or (SHORT_TARGET if options.short else TARGET)
    if not 0 < target < 1:
        raise ConfigError(f"--target {target} is not allowed: give a number between 0 and 1")
    settings = split_overrides(f"{SHORT if options.short else ''} {options.settings}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds or (1 if options.short else 3)):
            for codec in CODECS:
                place = Path(folder) / f"{codec.replace(':', '.')}_seed{seed}"
                train([*settings, f"codec={codec}", f"seed={seed}", f"output_dir={place}"])
                rows.append({"codec": codec, "seed": seed} | until(target, place))
                print(f"seed {seed}, {codec}: {rows[-1]}", flush=True)
    yield "", over_links(pd.DataFrame(rows), target=target)


def until(target: float, folder: Path) -> dict[str, float]:
    """Return rounds, bytes and seconds until a run's samples are good enough; NaN if never."""
    rounds = pd.read_csv(folder / "rounds.csv")
    good = rounds.loc[rounds[MEASURE] >= target, "round"]
    if good.empty:
        return dict.fromkeys(("rounds", "message_bytes", "compute_s"), float("nan"))
    last = int(good.iloc[0])
    messages = pd.read_csv(folder / "messages.csv")
    return {
        "rounds": last,
        "message_bytes": int(messages.loc[messages["round"] <= last, "message_bytes"].sum()),
        "compute_s": float(rounds.loc[rounds["round"] <= last, "wall_s"].sum()),
    }


def over_links(runs: pd.DataFrame, *, target: float) -> pd.DataFrame:
    """Return one row per codec and link; seeds that never reached the target are left out."""
    reached = runs.groupby("codec", sort=False)["rounds"].count()
    means = runs.groupby("codec", sort=False)[["rounds", "message_bytes", "compute_s"]].mean()
    parts = []
    for link in LINKS_MBIT_S:
        part = means.reset_index()
        part.insert(1, "link_mbit_s", link)
        part.insert(2, "measure", MEASURE)
        part.insert(3, "target", target)
        part.insert(4, "seeds", runs.seed.nunique())
        part.insert(5, "reached", part.codec.map(reached))
        part["transfer_s_computed"] = 8 * part.message_bytes / (link * 1e6)
        part["total_s_computed"] = part.compute_s + part.transfer_s_computed
        plain = part[part.codec == BASELINE].iloc[0]
        part["ratio"] = plain.total_s_computed / part.total_s_computed
        part["bytes_ratio"] = plain.message_bytes / part.message_bytes
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


main = partial(
    run_benchmark, "end_to_end", __doc__, measure,
    short=f"a few rounds to {MEASURE} {SHORT_TARGET}, one seed",
    own={
        "--target": {"type": float, "help": f"{MEASURE} to reach; default: {TARGET}"},
        "--seeds": {"type": int, "help": "default: 3, or 1 with --short"},
        "--settings": {"default": "", "metavar": "'K=V K=V'", "help": "of the main job"},
    },
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
