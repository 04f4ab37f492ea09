"""Virtual time: quality over time, and each client's use of time."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flwr_gan.plots.rounds import DISTANCE
from flwr_gan.plots.style import BLUE, COLOURS, GREEN, MARKERS, ORANGE, legend_above, tidy

MEASURES = {
    "synthetic_accuracy": "synthetic accuracy",
    "conditional_accuracy": "conditional accuracy",
    "test_accuracy": "test accuracy",
    "frechet_distance": DISTANCE,
}
PHASES = (
    ("receiving_s", "receiving", BLUE, ""),
    ("training_s", "training", ORANGE, "///"),
    ("sending_s", "sending", GREEN, "..."),
    ("idle_s", "idle", "#dddddd", ""),
)
LEAST_HEIGHT, CLIENT_HEIGHT = 1.4, 0.22


def virtual_time_figure(
    runs: Mapping[str, pd.DataFrame], *, target: tuple[str, float] | None = None
) -> Figure:
    """Draw each measure of quality against virtual time, one line per run.

    The tables have the columns of ``rounds.csv``; measures that no run has are left out. `target`
    is a measure and a value that is drawn as a line. Raises ValueError when there is no measure.
    """
    measures = [key for key in MEASURES if any(key in rounds for rounds in runs.values())]
    if not measures:
        raise ValueError("no run of these has quality measures")
    figure = Figure(figsize=(7.2, 0.9 + 1.9 * len(measures)), layout="constrained")
    panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
    for axes, measure in zip(panels, measures, strict=True):
        for at, (label, rounds) in enumerate(runs.items()):
            if measure in rounds:
                axes.plot(
                    rounds["virtual_s"], rounds[measure], color=COLOURS[at % len(COLOURS)],
                    marker=MARKERS[at % len(MARKERS)], markersize=3, linewidth=1.4, label=label,
                )  # fmt: skip
        if target is not None and target[0] == measure:
            axes.axhline(target[1], color="#666666", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_ylabel(MEASURES[measure], fontsize=9)
        axes.set_ylim(0, None if measure == "frechet_distance" else 1.02)
        tidy(axes)
    panels[-1].set_xlabel("virtual time (s)")
    panels[-1].set_xlim(left=0)
    if len(runs) > 1:
        legend_above(figure, panels[0])
    return figure


def client_times_figure(clients: pd.DataFrame) -> Figure:
    """Draw each client's use of virtual time, one bar per client.

    ``clients`` has the columns of ``clients.csv``.
    """
    height = LEAST_HEIGHT + CLIENT_HEIGHT * len(clients)
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    left = pd.Series(0.0, index=clients.index)
    for column, label, colour, hatch in PHASES:
        axes.barh(
            clients["client"], clients[column], left=left, height=0.72, color=colour, label=label,
            hatch=hatch, edgecolor="white", linewidth=0,
        )  # fmt: skip
        left += clients[column]
    axes.set_xlabel("virtual time (s)")
    axes.set_ylabel("client")
    axes.invert_yaxis()
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=25))
    axes.set_xlim(0, float(left.max()) or 1)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=9)
    return figure
