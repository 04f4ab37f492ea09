"""Groups of runs, round by round: the mean as a line, the range as a band."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from flwr_gan.plots.sweep import COLOURS

# Lines that lie on each other are still told apart.
_STYLES = ("-", "--", "-.", ":")

Groups = Mapping[str, Sequence[pd.DataFrame]]


def draw_groups(axes: Axes, groups: Groups, column: str, *, scale: float = 1.0) -> None:
    """Draw a column of ``rounds.csv`` against the round, one line a group.

    Parameters
    ----------
    axes : Axes
        Where to.
    groups : mapping of str to sequence of pandas.DataFrame
        The rounds of each run of each group.
    column : str
        What is drawn.
    scale : float
        The values are multiplied by it.
    """
    for i, (label, runs) in enumerate(groups.items()):
        values = pd.concat([run.set_index("round")[column] * scale for run in runs], axis=1)
        mean, colour = values.mean(axis=1), COLOURS[i % len(COLOURS)]
        axes.plot(
            mean.index,
            mean,
            color=colour,
            linestyle=_STYLES[i % len(_STYLES)],
            marker="o",
            markersize=3,
            linewidth=1.5,
            label=label,
        )
        if values.shape[1] > 1:
            lowest, highest = values.min(axis=1), values.max(axis=1)
            axes.fill_between(mean.index, lowest, highest, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("round", fontsize=9)
    axes.tick_params(labelsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
