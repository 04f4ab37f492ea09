"""Quality and sparsity per round against cumulative bytes; old and new data under drift."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from flwr_gan.plots.style import BLUE, GREEN, PINK, RED, tidy

ACCURACIES = (
    ("conditional_accuracy", "generated samples recognised as their label", BLUE, "o"),
    ("synthetic_accuracy", "real test data, trained on generated samples", RED, "s"),
)
CLASSIFIER = (
    ("test_accuracy", "test data", BLUE, "o"),
    ("train_accuracy", "training data", RED, "s"),
)
DISTANCE = "Fréchet distance\n(classifier features)"
# height, what is measured, limits, and of each line column, label, colour and marker
PANELS = (
    (3, "accuracy", (0, 1.02), ACCURACIES),
    (3, "accuracy", (0, 1.02), CLASSIFIER),
    (2, "cross entropy\n(test data)", (0, None), (("test_loss", "", BLUE, "o"),)),
    (2, DISTANCE, (0, None), (("frechet_distance", "", BLUE, "o"),)),
    (1, "sparsity (%)", (-5, 105), (("sparsity", "", GREEN, "o"),)),
)


def rounds_figure(rounds: pd.DataFrame) -> Figure:
    """Draw accuracy, Frechet distance or cross entropy, and sparsity against cumulative bytes.

    ``rounds`` has the columns of ``rounds.csv``; measures that are missing are left out, with their
    panel where it would be empty.
    """
    kilobytes = (rounds["up_bytes"] + rounds["down_bytes"]).cumsum() / 1000
    panels = [panel for panel in PANELS if any(line[0] in rounds for line in panel[3])]
    heights = [height for height, *_ in panels]
    figure = Figure(figsize=(7.2, 6.4 if len(panels) > 1 else 2.4), layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)
    for axes, (_, measure, limits, lines) in zip(grid[:, 0], panels, strict=True):
        for column, label, colour, marker in lines:
            if column in rounds:
                y = rounds[column] * (100 if column == "sparsity" else 1)
                axes.plot(
                    kilobytes, y, color=colour, marker=marker, markersize=3.5, linewidth=1.4,
                    label=label,
                )  # fmt: skip
        axes.set_ylabel(measure)
        axes.set_ylim(*limits)
        if lines in (ACCURACIES, CLASSIFIER):
            axes.legend(loc="lower right", frameon=False)
        tidy(axes)
    axes.set_xlabel("bytes so far, both directions (kB)")
    return figure


# Dashes and markers tell the lines apart in grey.
STYLES = {
    "old": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "new": {"color": RED, "linestyle": "--", "marker": "s"},
}
LABELS = {"old": "what came in earlier stages", "new": "what came in the present stage"}
BYTES = {
    "up_bytes": ("up", GREEN, "-"),
    "down_bytes": ("down", PINK, ":"),
}


def continual_figure(rounds: pd.DataFrame) -> Figure:
    """Draw accuracy and Frechet distance on old and new, and cumulative bytes.

    ``rounds`` has the columns of ``rounds.csv``, with those of the stages.
    """
    figure = Figure(figsize=(7.2, 6.8), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
    for axes, measure in ((top, "accuracy"), (middle, "frechet")):
        for age, style in STYLES.items():
            column = f"{age}_{measure}"
            if column in rounds:
                axes.plot(
                    rounds["round"],
                    rounds[column],
                    markersize=3.5,
                    linewidth=1.4,
                    label=LABELS[age],
                    **style,
                )
    top.set_ylabel("generated samples\nrecognised as their label")
    top.set_ylim(0, 1.02)
    top.legend(loc="lower left", frameon=False, fontsize=9)
    middle.set_ylabel(DISTANCE)
    middle.set_ylim(bottom=0)
    for column, (label, colour, line) in BYTES.items():
        kilobytes = rounds[column].cumsum() / 1000
        bottom.plot(
            rounds["round"], kilobytes, color=colour, linestyle=line, linewidth=1.6, label=label
        )
    bottom.set_ylabel("bytes so far (kB)")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("round")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    bottom.legend(loc="upper left", frameon=False, fontsize=9)
    changes = rounds.loc[rounds["stage"].diff() > 0, "round"]
    for axes in (top, middle, bottom):
        for first in changes:
            axes.axvline(first - 0.5, color="#666666", linewidth=0.8, linestyle=(0, (2, 3)))
        tidy(axes)
    return figure
