"""How sparse each layer is."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from flwr_gan.plots.style import COLOURS, MARKERS, legend_above, tidy


def layers_figure(groups: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Draw the share of zeros in each layer, one mark a group of runs.

    Each run gives the share of zeros by the layer's name, first layer first. Marks are means, bars
    ranges.
    """
    names = list(dict.fromkeys(name for runs in groups.values() for run in runs for name in run))
    height = 1.1 + 0.32 * len(names) + 0.22 * (len(groups) // 2 + 1)
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    # Marks of one layer stand a little apart.
    offsets = np.linspace(-0.22, 0.22, len(groups)) if len(groups) > 1 else [0.0]
    for i, (label, runs) in enumerate(groups.items()):
        colour = COLOURS[i % len(COLOURS)]
        for row, name in enumerate(names):
            shares = [100 * run[name] for run in runs if name in run]
            if not shares:
                continue
            y = row + offsets[i]
            axes.hlines(y, min(shares), max(shares), color=colour, alpha=0.5, linewidth=2)
            axes.plot(
                float(np.mean(shares)),
                y,
                color=colour,
                marker=MARKERS[i % len(MARKERS)],
                markersize=5.5,
                linestyle="",
                label=label if row == 0 else None,
            )
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first layer on top
    axes.set_xlim(-2, 102)
    axes.set_xlabel("zeros among the weights (%)", fontsize=9)
    axes.tick_params(axis="x", labelsize=9)
    tidy(axes)
    if len(groups) > 1:
        legend_above(figure, axes)
    return figure
