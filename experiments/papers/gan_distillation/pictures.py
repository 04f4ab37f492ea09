"""Samples of all generators for the same latent vectors, and quality against size."""

# n images, T rows, C columns

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.papers.gan_distillation.results import real_scores
from experiments.papers.gan_distillation.scoring import draw
from experiments.papers.gan_distillation.setting import PUBLISHED_TEACHER, ROLES, TABLE_1
from experiments.papers.gan_distillation.training import load_network
from experiments.study import figures as plot
from experiments.study.cases import Record

LOOKS = {
    "mse": (plot.BLUE, "o"),
    "mse_longer": (plot.SKY, "v"),
    "mse_drawn": (plot.GREY, "x"),
    "joint": (plot.ORANGE, "s"),
    "game": (plot.GREEN, "P"),
    "regular": (plot.RED, "^"),
    "regular_longer": (plot.PINK, "D"),
    "teacher": (plot.BLACK, "*"),
}
"""Colour and marker of each way of training."""
MEASURES = (
    ("inception_score", "inception-type score (higher is better)"),
    ("frechet_distance", "Fréchet distance (lower is better)"),
    ("laplacian_variance", "variance of the Laplacian (near real)"),
)
ACROSS, DOWN = 8, 2
"""Number of images of a generator in the grid."""


def figures(tables: Mapping[str, pd.DataFrame], records: Sequence[Record]) -> dict[str, Figure]:
    """Return quality against size, and samples."""
    return {
        "quality.png": quality_figure(tables["summary.csv"], real_scores(records)),
        "samples.png": samples_figure(records),
    }


def quality_figure(summary: pd.DataFrame, real: Mapping[str, float]) -> Figure:
    """Draw each measure against parameters, with the scores of the paper and of real images."""
    figure, panels = plot.row_of_panels(len(MEASURES), width=4.7, height=4.9)
    for axes, (measure, label) in zip(panels, MEASURES, strict=True):
        for role, (colour, marker) in LOOKS.items():
            part = summary[summary["role"] == role].sort_values("parameters")
            if not len(part):
                continue
            axes.errorbar(
                part["parameters"], part[measure], yerr=_widths(part, measure), capsize=3,
                color=colour, marker=marker, ms=11 if role == "teacher" else 6,
                ls="" if role == "teacher" else "-", lw=1.5, label=ROLES[role],
            )  # fmt: skip
        if measure in real:
            axes.axhline(real[measure], color="#777777", ls=":", lw=1.2, label="real images")
        axes.set_xscale("log")
        axes.set_xlabel("parameters of the generator")
        axes.set_title(label, fontsize=11)
        plot.tidy(axes, which="both")
    _papers(panels[0])
    panels[1].set_yscale("log")
    plot.legend_below(figure, panels[0], columns=5)
    return figure


def samples_figure(records: Sequence[Record]) -> Figure:
    """Draw the first seed's images for the same latents: one row per role, one column per depth."""
    settings, seed = records[0].case.hyperparameters, records[0].case.seed
    depths, rows = settings.depths, ("teacher", "mse", "joint", "game", "regular")
    named = {(r.case.role, r.case.depth): r for r in records if r.case.seed == seed}
    teacher = next(record for record in records if record.case.role == "teacher")
    figure = Figure(figsize=(0.6 + 4.0 * len(depths), 0.4 + 1.05 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(depths), squeeze=False)
    for line, role in zip(grid, rows, strict=True):
        name = f"teacher, d = {settings.teacher_depth}" if role == "teacher" else ROLES[role]
        line[0].set_ylabel(name.replace(", ", ",\n"), fontsize=10)
        for axes, depth in zip(line, depths, strict=True):
            record = teacher if role == "teacher" else named.get((role, depth))
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if record is not None:
                generator, _ = load_network(record.case, record.folder)
                axes.imshow(tile(draw(generator, ACROSS * DOWN)), cmap="gray_r", vmin=-1, vmax=1)
    for axes, depth in zip(grid[0], depths, strict=True):
        axes.set_title(f"d = {depth}", fontsize=11)
    return figure


def tile(x_nTC: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the images as one image, ``ACROSS`` per row."""
    count, height, width = x_nTC.shape
    tiles = x_nTC.reshape(count // ACROSS, ACROSS, height, width).swapaxes(1, 2)
    return tiles.reshape(count // ACROSS * height, ACROSS * width)


def _papers(axes: Axes) -> None:
    """Draw the paper's scores, which are from another classifier."""
    sizes = [row.parameters for row in TABLE_1.values()]
    for name, style in (("student", "--"), ("regular", ":")):
        scores = [getattr(row, name) for row in TABLE_1.values()]
        axes.plot(sizes, scores, color="#999999", ls=style, lw=1.2, label=f"paper: {name}")
    axes.plot(*PUBLISHED_TEACHER[1:], color="#999999", marker="*", ls="", label="paper: teacher")


def _widths(part: pd.DataFrame, measure: str) -> NDArray[np.float64] | None:
    widths = part[f"{measure}_half_width"].to_numpy(dtype=np.float64)
    return None if np.isnan(widths).all() else np.nan_to_num(widths)
