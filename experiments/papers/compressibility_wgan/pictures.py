"""Figures 2 to 4 of the paper, and curves of measures that it shows only as samples.

P levels, K classes, n samples per class, T vectors, C components.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from experiments.papers.compressibility_wgan.cases import KINDS, Case
from experiments.papers.compressibility_wgan.statistics import MARGINS, passing_levels
from experiments.study import figures as plot
from experiments.study.cases import Record
from experiments.study.statistics import where
from flwr_gan.data.drawing import vectors_to_strokes
from flwr_gan.plots import sample_grid
from flwr_gan.plots.samples import (
    STROKE_NAMES,
    drawing_side,
    fit_drawing,
    stroke_colour,
    stroke_lines,
)

FIG_4_LEVELS = (1, 5, 10, 15, 16, 17)
EXAMPLES = 8
LOOKS = {
    "retrained": (plot.BLUE, "o", "-"),
    "pruned": (plot.RED, "s", "-"),
    "one_shot": (plot.GREY, "x", ":"),
    "reinitialised": (plot.GREEN, "^", ""),
    "random_mask": (plot.PINK, "D", ""),
}
AXES = {
    "synthetic_accuracy": "accuracy on real test data,\ntrained on samples alone",
    "conditional_accuracy": "samples recognised\nas their label",
    "coverage": "coverage of real\ntest samples",
    "frechet_distance": "Fréchet distance\n(classifier features)",
}


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Return all figures."""
    summary = tables["quality_summary.csv"]
    found = {}
    for data in dict.fromkeys(summary["data"]):
        for record in records:
            if (record.case.data, record.case.scope) == (data, "global"):
                cell = record.case.cell(record.folder)
                for number, figure in enumerate(character_figures(cell), start=2):
                    found[f"fig{number}_{data}.png"] = figure
                break
        own = summary[summary["data"] == data]
        found[f"quality_{data}.png"] = quality_figure(own, str(data))
    found["ratios.png"] = ratio_figure(
        tables["table2.csv"], tables["not_worse.csv"], tables["codecs.csv"]
    )
    found["layers.png"] = layer_figure(tables["layers.csv"])
    return found


def character_figures(cell: Case) -> Iterator[Figure]:
    """Yield Fig. 2 (real), Fig. 3 (dense generator) and Fig. 4 (after P prunings) of one cell."""
    dataset = cell.federation.dataset
    num_classes, names = dataset.num_classes, dataset.class_names
    real_KnTC = np.stack(
        [
            dataset.train.x_NTC[dataset.train.y_N == k][_spread(dataset, k)]
            for k in range(num_classes)
        ]
    )
    yield sample_grid(real_KnTC, names, dataset.kind)
    labels_N = np.repeat(np.arange(num_classes), EXAMPLES)
    shape = (num_classes, EXAMPLES, dataset.num_vectors, dataset.num_components)
    dense_NTC = cell.generate(cell.load("retrained", 0), labels_N)
    yield sample_grid(dense_NTC.reshape(shape), names, dataset.kind)
    levels = [level for level in FIG_4_LEVELS if level in cell.levels]
    panels = {}
    for kind in ("pruned", "retrained"):
        for level in levels:
            x_NTC = cell.generate(cell.load(kind, level), labels_N)
            panels[kind, level] = x_NTC.reshape(shape)[:, 0]
    yield level_panels(panels, levels)


def level_panels(
    panels: Mapping[tuple[str, int], npt.NDArray[np.float32]], levels: Sequence[int]
) -> Figure:
    """Draw one character of every class after each P, with the same latent vectors.

    ``panels`` are strokes, shape (K, T, 3); rows are kinds, columns are levels.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in panels))
    count = len(next(iter(panels.values())))
    across = max(5, int(np.ceil(np.sqrt(count))))
    down = -(-count // across)
    side = 2.5
    figure = Figure(
        figsize=(side * len(levels), 0.4 + len(kinds) * (0.8 + side * down / across)),
        layout="constrained",
    )
    most = 1
    parts = figure.subfigures(len(kinds), 1, squeeze=False)[:, 0]
    for part, kind in zip(parts, kinds, strict=True):
        part.suptitle(KINDS[kind], fontsize=11)
        for axes, level in zip(
            part.subplots(1, len(levels), squeeze=False)[0], levels, strict=True
        ):
            drawings = [vectors_to_strokes(x_TC) for x_TC in panels[kind, level]]
            most = max(most, *map(len, drawings))
            unit = max(float(np.quantile([drawing_side(d) for d in drawings], 0.9)), 1e-6)
            fitted = [
                fit_drawing(d, centre=(k % across, -(k // across)), side=0.78, unit=unit)
                for k, d in enumerate(drawings)
            ]
            axes.add_collection(stroke_lines(fitted, linewidth=1.1), autolim=False)
            axes.set(xlim=(-0.6, across - 0.4), ylim=(-down + 0.4, 0.6), xticks=[], yticks=[])
            axes.set_aspect("equal")
            axes.spines[:].set_color("#cccccc")
            axes.set_xlabel(f"P = {level}", fontsize=10)
    handles = [
        Line2D([], [], color=stroke_colour(order), linewidth=3, label=f"{name} stroke")
        for order, name in enumerate(STROKE_NAMES[: min(most, len(STROKE_NAMES))])
    ]
    parts[-1].legend(
        handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9
    )
    return figure


def quality_figure(summary: pd.DataFrame, data: str) -> Figure:
    """Draw each measure against P: both readings, the controls, the dense generator, real data.

    Bands and bars are 95 % t intervals over seeds; the grey band below the dense generator's value
    is the margin.
    """
    summary = summary[summary["scope"] == "global"]
    figure = Figure(figsize=(10, 7.4), layout="constrained")
    panels = figure.subplots(2, 2).flatten()
    for axes, (measure, label) in zip(panels, AXES.items(), strict=True):
        for kind, (colour, marker, line) in LOOKS.items():
            part = summary[(summary.kind == kind) & (summary.codec == "sparse")]
            part = part.sort_values("level")
            if part.empty:
                continue
            value, half = part[measure], part[f"{measure}_half_width"].fillna(0)
            if line:
                axes.plot(
                    part.level, value, color=colour, ls=line, marker=marker, ms=4, lw=1.5,
                    label=KINDS[kind],
                )  # fmt: skip
                low = np.maximum(value - half, value / 20)  # a band may reach below a log scale
                axes.fill_between(part.level, low, value + half, color=colour, alpha=0.15)
            else:
                axes.errorbar(
                    part.level, value, yerr=half, color=colour, marker=marker, ms=5, ls="",
                    capsize=3, label=KINDS[kind],
                )  # fmt: skip
        _references(axes, summary, measure)
        _level_axis(axes)
        axes.set_ylabel(label)
        if measure == "frechet_distance":
            axes.set_yscale("log")
        plot.tidy(axes)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9,
        title=f"{data}, mean and 95 % interval over {int(summary['seeds'].max())} seeds",
    )  # fmt: skip
    return figure


def _references(axes: Axes, summary: pd.DataFrame, measure: str) -> None:
    real = summary[summary.kind == "real"][measure]
    is_dense = (summary.kind == "retrained") & (summary.level == 0) & (summary.codec == "sparse")
    dense = summary[is_dense][measure]
    if real.notna().any():
        axes.axhline(real.max(), color=plot.BLACK, ls="--", lw=1, label="real samples, unseen")
    if len(dense) and measure in MARGINS:
        level = float(dense.iloc[0])
        axes.axhspan(
            level - MARGINS[measure], level, color="#bbbbbb", alpha=0.4, lw=0,
            label="margin below the dense generator",
        )  # fmt: skip
    else:
        axes.plot(
            [], [], color="#bbbbbb", lw=6, alpha=0.6, label="margin below the dense generator"
        )


def ratio_figure(table: pd.DataFrame, verdicts: pd.DataFrame, codecs: pd.DataFrame) -> Figure:
    """Draw compression ratio against P: the paper's, ours by its method, and the sparse codec.

    Lines are lossless codes of the generator that Alg. 2 returns; marks are lossy codes of the
    retrained ticket, only at the levels that pass.
    """
    datasets = list(dict.fromkeys(table["data"]))
    lines = (
        ("lzma_paper", "LZMA, published", plot.BLACK, "", "--"),
        ("lzma_signed", "LZMA, zeros with signs", plot.RED, "s", "-"),
        ("lzma_canonical", "LZMA, zeros without signs", plot.ORANGE, "D", "-"),
        ("sparse", "sparse, lossless", plot.BLUE, "o", "-"),
    )
    lossy = (
        ("sparse:int8", "sparse, 8 bits, where not worse", plot.SKY, "^"),
        ("sparse:int6", "sparse, 6 bits, where not worse", plot.GREEN, "v"),
        ("sparse:int4", "sparse, 4 bits, where not worse", plot.PINK, "P"),
    )
    verdicts = where(verdicts, scope="global", kind="retrained")
    codecs = where(codecs, scope="global", kind="retrained", zeros="canonical")
    figure, grid = plot.row_of_panels(len(datasets), width=3.8, height=4.2, sharey=True)
    for axes, data in zip(grid, datasets, strict=True):
        part = table[table["data"] == data].sort_values("P")
        for column, label, colour, marker, style in lines:
            axes.plot(
                part["P"], part[column], color=colour, marker=marker, ms=3.5, ls=style, lw=1.4,
                label=label,
            )  # fmt: skip
        for codec, label, colour, marker in lossy:
            passing = passing_levels(where(verdicts, data=data, codec=codec), dense=True)
            ratios = where(codecs, data=data, codec=codec)
            ratios = ratios[ratios["level"].isin(passing)]
            if len(ratios):
                axes.plot(
                    ratios["level"], ratios["ratio"], color=colour, marker=marker, ms=6, ls="",
                    label=label,
                )  # fmt: skip
        axes.set_yscale("log")
        ticks = [1, 2, 5, 10, 20, 50, 100]
        axes.set_yticks(ticks, [str(tick) for tick in ticks], minor=False)
        axes.minorticks_off()
        axes.set_title(data)
        _level_axis(axes)
        plot.tidy(axes)
    grid[0].set_ylabel("dense float32 bytes to payload bytes")
    plot.legend_below(figure, grid[0], columns=4)
    return figure


def layer_figure(layers: pd.DataFrame) -> Figure:
    """Draw the sparsity of each layer against P, global and local pruning."""
    datasets = list(dict.fromkeys(layers["data"]))
    looks = {"fc.weight": plot.BLUE, "conv1.weight": plot.RED, "conv2.weight": plot.GREEN}
    figure, grid = plot.row_of_panels(len(datasets), width=3.8, height=4.2, sharey=True)
    for axes, data in zip(grid, datasets, strict=True):
        for scope, style in (("global", "-"), ("local", ":")):
            here = layers[(layers["data"] == data) & (layers["scope"] == scope)]
            for layer, part in here.groupby("layer", sort=False):
                axes.plot(
                    part["level"], 100 * part["sparsity"], color=looks.get(str(layer), plot.GREY),
                    ls=style, marker="o" if scope == "global" else "", ms=3, lw=1.6,
                    label=f"{str(layer).removesuffix('.weight')}, {scope}",
                )  # fmt: skip
        axes.set_title(f"{data}")
        _level_axis(axes)
        plot.tidy(axes)
    grid[0].set_ylabel("pruned weights of the layer (%)")
    plot.legend_below(figure, grid[0], columns=3)
    return figure


def _level_axis(axes: Axes) -> None:
    axes.set_xlabel("prunings P")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _spread(dataset: Any, label: int) -> npt.NDArray[np.int64]:
    """Return indices of samples of a class, spread over all of them and thus over the writers."""
    count = int((dataset.train.y_N == label).sum())
    return np.linspace(0, count - 1, EXAMPLES).astype(np.int64)
