"""Where the time goes: rounds as a whole, and the coding of messages."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from flwr_gan.plots.lines import Groups, draw_groups
from flwr_gan.plots.rounds import BLUE, ORANGE


def duration_figure(rounds: Groups, coding: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the seconds of each round above, and those of coding below.

    Parameters
    ----------
    rounds : mapping of str to sequence of pandas.DataFrame
        ``rounds.csv`` of each run of each group; lines are means, bands ranges.
    coding : mapping of str to (float, float)
        Seconds that the messages of a run took to encode and to decode, by the bar's name.
    """
    bars = 0.6 + 0.34 * len(coding)
    figure = Figure(figsize=(7.2, 3.4 + bars), layout="constrained")
    top, bottom = figure.subplots(2, 1, height_ratios=(2.8, bars))
    draw_groups(top, rounds, "wall_s")
    top.set_ylabel("seconds a round", fontsize=9)
    if len(rounds) > 1:
        figure.legend(
            *top.get_legend_handles_labels(),
            loc="outside upper left",
            ncols=2,
            frameon=False,
            fontsize=8,
        )
    rows = np.arange(len(coding))
    encode, decode = np.array(list(coding.values()), dtype=float).reshape(-1, 2).T
    bottom.barh(rows, encode, 0.6, color=BLUE, label="encode")
    bottom.barh(rows, decode, 0.6, left=encode, color=ORANGE, label="decode")
    bottom.set_yticks(rows, list(coding), fontsize=8)
    bottom.invert_yaxis()
    bottom.set_xlabel("seconds of coding in a whole run", fontsize=9)
    bottom.tick_params(axis="x", labelsize=9)
    bottom.grid(axis="x", alpha=0.3)
    bottom.spines[["top", "right"]].set_visible(False)
    bottom.legend(frameon=False, fontsize=8)
    return figure
