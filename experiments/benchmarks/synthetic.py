"""Generated samples as training data: a classifier trained on real samples, on generated, on both.

``python -m experiments.benchmarks.synthetic RUN [--short] [--output FILE]`` takes the generator and
the data set of a run's folder. For each number of real training samples it trains the small
classifier of the measures only on these, and on these plus generated samples. It writes the
accuracy on real test samples: means and standard deviations over seeds, which determine the real
and generated samples and the classifier's weights. Rows with 0 real samples have only generated.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from experiments.benchmarks.output import output_file, run_benchmark
from flwr_gan.app.federation import load_federation
from flwr_gan.app.generator_file import load_generator
from flwr_gan.data import Samples
from flwr_gan.gan import sample
from flwr_gan.metrics.classifier import SmallClassifier
from flwr_gan.plots import save_figure
from flwr_gan.plots.style import COLOURS, MARKERS, tidy
from flwr_gan.seeding import numpy_rng

SIZES, SEEDS, PER_CLASS = (20, 50, 100, 200, 500, 1000), 5, 100
SHORT_SIZES, SHORT_SEEDS = (20, 100), 2


def measure_all(options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the table, and draw a figure beside its file."""
    sizes, seeds = (SHORT_SIZES, SHORT_SEEDS) if options.short else (SIZES, SEEDS)
    rows = [row for seed in range(seeds) for row in measure(options.run, sizes, seed=seed)]
    groups = pd.DataFrame(rows).groupby(["real", "generated"], sort=False)["accuracy"]
    table = groups.agg(accuracy="mean", deviation="std", seeds="count").reset_index()
    save_figure(accuracy_figure(table), output_file(options, "synthetic").with_suffix(".png"))
    yield "", table


def measure(run: Path, sizes: Sequence[int], *, seed: int) -> Iterator[dict[str, float]]:
    """Yield the accuracy for each number of real and generated samples."""
    data, generator = load_federation(f"resume={run}").dataset, load_generator(run)
    rng = numpy_rng(seed, "synthetic")
    real = data.train.take(rng.permutation(len(data.train)))
    y_N = np.repeat(np.arange(data.num_classes), PER_CLASS)
    made = Samples(sample(generator, y_N, rng=torch.Generator().manual_seed(seed)), y_N)
    for size in (0, *(size for size in sizes if size <= len(real))):
        for generated in (0, len(made)) if size else (len(made),):
            parts = real.take(range(size)), made.take(range(generated))
            x_NTC, y = (np.concatenate([getattr(p, k) for p in parts]) for k in ("x_NTC", "y_N"))
            found = SmallClassifier(x_NTC, y, num_classes=data.num_classes, seed=seed)
            accuracy = found.accuracy(data.test.x_NTC, data.test.y_N)
            yield {"real": size, "generated": generated, "accuracy": accuracy}


def accuracy_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy against the number of real samples, with and without generated ones."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots()
    mixed = table[table["real"] > 0]
    for i, generated in enumerate(mixed["generated"].unique()):
        rows = mixed[mixed["generated"] == generated]
        label = f"with {generated} generated samples" if generated else "real samples alone"
        axes.errorbar(
            rows["real"], rows["accuracy"], rows["deviation"], color=COLOURS[i],
            marker=MARKERS[i], markersize=5, capsize=2, linewidth=1.5, label=label,
        )  # fmt: skip
    alone = float(table.loc[table["real"] == 0, "accuracy"].iloc[0])
    axes.axhline(alone, color=COLOURS[2], linestyle="--", label="generated samples alone")
    axes.set_xscale("log")
    axes.set_xticks(mixed["real"].unique(), map(str, mixed["real"].unique()))
    axes.minorticks_off()
    axes.set_xlabel("real training samples")
    axes.set_ylabel("accuracy on real test samples")
    axes.legend(loc="lower right", frameon=False)
    tidy(axes)
    return figure


main = partial(
    run_benchmark, "synthetic", __doc__, measure_all, short="fewer sizes and seeds",
    own={"run": {"type": Path, "metavar": "RUN", "help": "the folder of a finished run"}},
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
