"""Samples of all generators for the same latent vectors, and quality against size."""

# n images, T rows, C columns

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.papers.gan_distillation.scoring import draw
from experiments.papers.gan_distillation.setting import (
    PUBLISHED_TEACHER,
    ROLES,
    TABLE_1,
    Case,
    teacher_case,
)
from experiments.papers.gan_distillation.training import load_network
from flwr_gan.plots import save_figure

# Okabe and Ito: distinct to the colour-blind.
COLOURS = {
    "mse": "#0072b2",
    "joint": "#e69f00",
    "regular": "#d55e00",
    "mse_longer": "#56b4e9",
    "regular_longer": "#cc79a7",
    "teacher": "#000000",
}
MARKERS = {
    "mse": "o",
    "joint": "s",
    "regular": "^",
    "mse_longer": "v",
    "regular_longer": "D",
    "teacher": "*",
}
SHOWN = ("mse", "mse_longer", "joint", "regular", "regular_longer")
MEASURES = (
    ("inception_score", "inception-type score (higher is better)"),
    ("frechet_distance", "Fréchet distance (lower is better)"),
    ("laplacian_variance", "variance of the Laplacian (near real)"),
)
ACROSS, DOWN = 4, 2
"""Images of a generator in the grid."""


def write_pictures(
    summary: pd.DataFrame,
    real: Mapping[str, float],
    finished: Sequence[Case],
    folder: Path,
    results: Path,
) -> Iterator[Path]:
    """Write both pictures; yield their paths."""
    path = results / "quality.png"
    save_figure(quality_figure(summary, real), path, dpi=110)
    yield path
    path = results / "samples.png"
    save_figure(samples_figure(finished, folder), path, dpi=110)
    yield path


def quality_figure(summary: pd.DataFrame, real: Mapping[str, float]) -> Figure:
    """Draw each measure against the number of parameters, with the paper's score beside ours.

    Parameters
    ----------
    summary : pandas.DataFrame
        A row a role and depth: means and half widths over seeds.
    real : mapping from str to float
        Scores of real images, drawn as lines.
    """
    figure = Figure(figsize=(14.5, 4.9), layout="constrained")
    panels = figure.subplots(1, len(MEASURES))
    for axes, (measure, label) in zip(panels, MEASURES, strict=True):
        for role in (*SHOWN, "teacher"):
            part = summary[summary["role"] == role].sort_values("parameters")
            if not len(part):
                continue
            axes.errorbar(
                part["parameters"], part[measure], yerr=_widths(part, measure), capsize=3,
                color=COLOURS[role], marker=MARKERS[role], ms=11 if role == "teacher" else 6,
                ls="" if role == "teacher" else "-", lw=1.5, label=ROLES[role],
            )  # fmt: skip
        if measure in real:
            axes.axhline(real[measure], color="#777777", ls=":", lw=1.2, label="real images")
        axes.set_xscale("log")
        axes.set_xlabel("parameters of the generator")
        axes.set_title(label, fontsize=11)
        axes.grid(alpha=0.3, which="both")
        axes.spines[["top", "right"]].set_visible(False)
    _papers(panels[0])
    panels[1].set_yscale("log")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    return figure


def samples_figure(finished: Sequence[Case], folder: Path) -> Figure:
    """Draw images for the same latent vectors: a row a way of training, a column a depth.

    Parameters
    ----------
    finished : sequence of Case
        Those of the first seed are drawn, with their teacher.
    folder : Path
        Of all runs.
    """
    settings = finished[0].hyperparameters
    seed = finished[0].seed
    depths = settings.depths
    rows = ("teacher", "mse", "joint", "regular")
    named = {(case.role, case.depth): case for case in finished if case.seed == seed}
    teacher = teacher_case(settings)
    figure = Figure(figsize=(0.6 + 2.5 * len(depths), 0.4 + 1.32 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(depths), squeeze=False)
    for line, role in zip(grid, rows, strict=True):
        for axes, depth in zip(line, depths, strict=True):
            case = teacher if role == "teacher" else named.get((role, depth))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            if case is not None:
                generator, _ = load_network(case, folder)
                axes.imshow(tile(draw(generator, ACROSS * DOWN)), cmap="gray_r", vmin=-1, vmax=1)
    for axes, depth in zip(grid[0], depths, strict=True):
        axes.set_title(f"d = {depth}", fontsize=11)
    for line, role in zip(grid, rows, strict=True):
        name = f"teacher, d = {settings.teacher_depth}" if role == "teacher" else ROLES[role]
        line[0].set_ylabel(name.replace(", ", ",\n"), fontsize=10)
    return figure


def tile(x_nTC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return images as one, ``ACROSS`` in a row."""
    count, height, width = x_nTC.shape
    tiles = x_nTC.reshape(count // ACROSS, ACROSS, height, width).swapaxes(1, 2)
    return tiles.reshape(count // ACROSS * height, ACROSS * width)


def _papers(axes: Axes) -> None:
    """Draw the paper's scores, which are another classifier's."""
    sizes = [row.parameters for row in TABLE_1.values()]
    for name, style in (("student", "--"), ("regular", ":")):
        scores = [getattr(row, name) for row in TABLE_1.values()]
        axes.plot(sizes, scores, color="#999999", ls=style, lw=1.2, label=f"paper: {name}")
    axes.plot(*PUBLISHED_TEACHER[1:], color="#999999", marker="*", ls="", label="paper: teacher")


def _widths(part: pd.DataFrame, measure: str) -> NDArray[np.float64] | None:
    widths = part[f"{measure}_half_width"].to_numpy(dtype=np.float64)
    return None if np.isnan(widths).all() else np.nan_to_num(widths)
