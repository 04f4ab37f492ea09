"""The paper's Figures 3, 4 and 5 with our runs, quality by amount of data, and samples."""

# n samples, T vectors or rows, C components or columns

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.papers.rg_gan.results import families_of, with_all_data
from experiments.papers.rg_gan.setting import FAMILIES, METHODS
from experiments.study import figures as plot
from experiments.study.cases import Record
from experiments.study.results import read_samples
from flwr_gan.data import vectors_to_strokes

COLOURS = {
    "dense": plot.BLACK,
    "rg": plot.BLUE,
    "regan": plot.ORANGE,
    "ticket20": plot.GREEN,
    "ticket46": plot.RED,
}
_ABLATION_ROWS = {
    "DP": ("dp_g", "dp_d", "dp_b"),
    "DP + RR": ("rr_g", "rr_d", "rr_b"),
    "DP + RR + AR": ("ar_g", "ar_d", "rg"),
}
_BARS = {"G": plot.SKY, "D": plot.ORANGE, "both": plot.BLUE}
_NETWORKS = {"generator": "G", "critic": "D"}
_LAYERS = (
    (plot.BLACK, "-"),
    (plot.BLUE, "--"),
    (plot.RED, "-."),
    (plot.GREEN, ":"),
    (plot.PINK, "-"),
)
_ACROSS = 5

Samples = Mapping[tuple[str, str], NDArray[np.float32]]


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Return all pictures that have runs."""
    checks, summary, layers = (tables[f"{name}.csv"] for name in ("checks", "summary", "layers"))
    found = {}
    if len(compared := checks[checks["method"].isin(list(COLOURS))]):
        found["quality.png"] = quality_figure(compared)
    if len(pair := summary[summary["method"].isin(["dense", "rg"])]):
        found["data.png"] = data_figure(pair)
    if len(layers):
        found["sparsity.png"] = sparsity_figure(layers, checks)
    if summary["method"].isin(["rr_b", "dp_b"]).any():
        found["ablation.png"] = ablation_figure(summary)
    first = records[0].case.seed
    samples = {
        (record.case.family, record.case.method): read_samples(record.folder)
        for record in records
        if record.case.seed == first
        and record.case.samples == record.case.family_settings.num_samples
        and not record.case.augmented_data
    }
    return found | {"samples.png": samples_figure(samples)}


def quality_figure(checks: pd.DataFrame) -> Figure:
    """Draw score against real images shown (the paper's Fig. 4), one panel per kind of GAN."""
    families = families_of(checks)
    figure, panels = plot.row_of_panels(len(families), width=4.8, height=4.0)
    for axes, family in zip(panels, families, strict=True):
        part = with_all_data(checks, family)
        for method, colour in COLOURS.items():
            own = part[part["method"] == method].groupby("images")["score"].mean()
            axes.plot(own.index / 1e3, own, color=colour, lw=1.6, label=METHODS[method].title)
        axes.set_yscale("log")
        axes.set_title(FAMILIES[family].title, fontsize=10)
        axes.set_xlabel("real images shown to the critic, thousands")
        plot.tidy(axes, which="both")
    axes = figure.axes[0]
    axes.set_ylabel("Fréchet distance to training samples")
    axes.legend(frameon=False, fontsize=9)
    return figure


def sparsity_figure(layers: pd.DataFrame, checks: pd.DataFrame) -> Figure:
    """Draw layer sparsity and regeneration (the paper's Fig. 3), one row per kind of GAN."""
    families = families_of(layers)
    figure = Figure(figsize=(14.0, 0.4 + 3.4 * len(families)), layout="constrained")
    grid = figure.subplots(len(families), 3, squeeze=False)
    for line, family in zip(grid, families, strict=True):
        part = with_all_data(layers, family)
        for axes, (network, short) in zip(line[:2], _NETWORKS.items(), strict=True):
            own = part[part["network"] == network]
            for (colour, dash), (layer, rows) in zip(_LAYERS, own.groupby("layer"), strict=False):
                curve = rows.groupby("update")["sparsity"].mean()
                axes.plot(
                    curve.index, 100 * curve, color=colour, ls=dash, lw=1.5, label=f"layer {layer}"
                )
            axes.set_title(f"{FAMILIES[family].title.split(',')[0]}: {short}", fontsize=10)
            axes.set_ylabel("pruned in sparse phases, %")
            axes.legend(frameon=False, fontsize=8)
        run = with_all_data(checks, family)
        run = run[(run["method"] == "rg") & (run["phase"] == "sparse")]
        for network, short in _NETWORKS.items():
            curve = run.groupby("update")[f"{network}_regenerated"].mean()
            line[2].plot(curve.index, 100 * curve, color=_BARS[short], lw=1.5, label=short)
        line[2].set_title("regenerated between two checks", fontsize=10)
        line[2].set_ylabel("of all weights, %")
        line[2].legend(frameon=False, fontsize=8)
        for axes in line:
            axes.set_xlabel("generator updates")
            plot.tidy(axes, which="both")
    return figure


def ablation_figure(summary: pd.DataFrame) -> Figure:
    """Draw Frechet distance by part of the method (the paper's Fig. 5), SNGAN with all data."""
    part = with_all_data(summary[summary["output"] == "best"], "sngan").set_index("method")
    figure = Figure(figsize=(8.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for at, methods in enumerate(_ABLATION_ROWS.values()):
        for shift, (method, (name, colour)) in enumerate(
            zip(methods, _BARS.items(), strict=True), start=-1
        ):
            if method in part.index:
                row = part.loc[method]
                width = row["frechet_distance_half_width"]
                axes.bar(
                    at + 0.26 * shift, row["frechet_distance"], 0.24, color=colour,
                    label=name if at == 0 else None, capsize=3,
                    yerr=None if np.isnan(width) else width,
                )  # fmt: skip
    if "dense" in part.index:
        dense = float(part["frechet_distance"]["dense"])
        axes.axhline(dense, color="#000000", ls=":", lw=1.2, label="dense")
    axes.set_xticks(range(len(_ABLATION_ROWS)), list(_ABLATION_ROWS))
    axes.set_ylabel("Fréchet distance to test samples")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    plot.tidy(axes, which="both")
    return figure


def data_figure(summary: pd.DataFrame) -> Figure:
    """Draw Frechet distance against training samples, one panel per kind of GAN."""
    best = summary[summary["output"] == "best"]
    families = families_of(best)
    figure, panels = plot.row_of_panels(len(families), width=4.8, height=4.0)
    for axes, family in zip(panels, families, strict=True):
        part = best[best["family"] == family]
        for method in ("dense", "rg"):
            for augmented in (False, True):
                own = part[(part["method"] == method) & (part["augmented_data"] == augmented)]
                own = own.sort_values("samples")
                title = METHODS[method].title + (" + augmentation" if augmented else "")
                axes.errorbar(
                    own["samples"], own["frechet_distance"],
                    yerr=np.nan_to_num(own["frechet_distance_half_width"].to_numpy(float)),
                    color=COLOURS[method], ls="--" if augmented else "-", marker="o", ms=4,
                    capsize=3, lw=1.5, label=title,
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("training samples")
        axes.set_title(FAMILIES[family].title, fontsize=10)
        plot.tidy(axes, which="both")
    axes = figure.axes[0]
    axes.set_ylabel("Fréchet distance to test samples")
    axes.legend(frameon=False, fontsize=9)
    return figure


def samples_figure(samples: Samples) -> Figure:
    """Draw samples for the same latent vectors: one row per kind of GAN, one column per method."""
    methods = [m for m in COLOURS if any(method == m for _, method in samples)]
    families = [f for f in FAMILIES if any(family == f for family, _ in samples)]
    size = (0.4 + 2.3 * max(1, len(methods)), 0.4 + 2.0 * max(1, len(families)))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(max(1, len(families)), max(1, len(methods)), squeeze=False)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    for line, family in zip(grid, families, strict=False):
        line[0].set_ylabel(FAMILIES[family].title.split(",")[0], fontsize=9)
        for axes, method in zip(line, methods, strict=False):
            if (family, method) in samples:
                _draw(axes, samples[family, method], strokes=family == "strokes")
    for axes, method in zip(grid[0], methods, strict=False):
        axes.set_title(METHODS[method].title, fontsize=10)
    return figure


def _draw(axes: Axes, x_nTC: NDArray[np.float32], *, strokes: bool) -> None:
    if not strokes:
        rows = [np.concatenate(list(x_nTC[at : at + _ACROSS]), axis=1)
                for at in range(0, len(x_nTC), _ACROSS)]  # fmt: skip
        axes.imshow(np.concatenate(rows), cmap="gray_r", vmin=-1, vmax=1)
        return
    for at, x_TC in enumerate(x_nTC):
        row, column = divmod(at, _ACROSS)
        for points in vectors_to_strokes(x_TC):
            xy = np.asarray(points, dtype=np.float64)
            axes.plot(xy[:, 0] + 2.6 * column, xy[:, 1] - 2.6 * row, color="#000000", lw=0.9)
    axes.set_aspect("equal")
