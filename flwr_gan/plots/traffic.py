"""What travels in each round."""

from matplotlib.figure import Figure

from flwr_gan.plots.lines import Groups, draw_groups


def traffic_figure(groups: Groups) -> Figure:
    """Draw the bytes of each round's messages, up and down, one line a group of runs.

    Parameters
    ----------
    groups : mapping of str to sequence of pandas.DataFrame
        ``rounds.csv`` of each run of each group; lines are means, bands ranges.
    """
    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    up, down = figure.subplots(2, 1, sharex=True, sharey=True)
    for axes, column, name in ((up, "up_bytes", "up"), (down, "down_bytes", "down")):
        draw_groups(axes, groups, column, scale=1e-3)
        axes.set_ylabel(f"messages going {name} (kB)", fontsize=9)
    up.set_xlabel("")
    if len(groups) > 1:
        handles, labels = up.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    return figure
