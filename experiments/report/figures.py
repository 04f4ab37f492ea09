"""The plots of a report: grouping of runs into lines, and the captions."""

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from experiments.report.folders import Results, RunFiles
from experiments.report.page import Picture, figure_picture
from flwr_gan.plots import (
    duration_figure,
    layers_figure,
    quality_figure,
    rounds_figure,
    traffic_figure,
)
from flwr_gan.plots.sweep import QUALITY, has_quality

_MOST_LINES = 6  # more runs than this are drawn as groups
_MOST_LISTED = 8  # most groups that an alternative text names

Grouping = tuple[dict[str, list[RunFiles]], str]


def quality_picture(results: Results) -> Picture | None:
    """Return quality against bytes: one point per run, or per round of a single run."""
    table = results.table
    columns = list(QUALITY)
    drawn = [run for run in results.runs if run.rounds.filter(columns).notna().any(axis=None)]
    if len(drawn) == 1:
        rounds = drawn[0].rounds
        size = (rounds["up_bytes"] + rounds["down_bytes"]).sum() / 1000
        alt = f"Line plot over {len(rounds)} rounds and {size:,.0f} kB in all. " + ". ".join(
            f"{_plain(key)} goes from {rounds[key].iloc[0]:.3g} to {rounds[key].iloc[-1]:.3g}"
            for key in QUALITY
            if key in rounds
        )
        caption = "Quality and sparsity after each round, against the bytes sent so far."
        return figure_picture(rounds_figure(rounds), alt, caption)
    if not has_quality(table):
        return None
    counted = table[table["up_bytes"].notna()]
    sizes = (counted["up_bytes"] + counted["down_bytes"]).astype(float) / 1000
    reach = f"{sizes.min():,.0f} and {sizes.max():,.0f} kB"
    alt = f"Scatter plot of {len(counted)} runs between {reach}. "
    alt += ". ".join(
        f"{_plain(key)} lies between {counted[key].min():.3g} and {counted[key].max():.3g}"
        for key in QUALITY
        if key in counted and counted[key].notna().any()
    )
    caption = "Quality at the end of each run, against the bytes of all its messages."
    return figure_picture(quality_figure(table, results.factors), alt, caption)


def traffic_picture(results: Results) -> Picture | None:
    """Return the bytes of each round, up and down."""
    groups, how = _grouped([run for run in results.runs if len(run.rounds)], results, "codec$")
    if not groups:
        return None
    lines = [
        f"{label}: {_mean(runs, 'up_bytes', 0):,.0f} kB up in the first round, "
        f"{_mean(runs, 'up_bytes', -1):,.0f} kB in the last"
        for label, runs in groups.items()
    ]
    alt = f"Line plot of kilobytes sent in each round. {_listed(lines)}"
    return figure_picture(traffic_figure(_rounds(groups)), alt, f"Bytes a round. {how}".strip())


def layers_picture(results: Results) -> Picture | None:
    """Return the share of zeros in each layer of the saved generators."""
    known = [run for run in results.runs if run.trains and run.layer_sparsity]
    groups, how = _grouped(known, results, r"lottery|strategy\.rate")
    if not groups:
        return None
    shares = {label: [run.layer_sparsity for run in runs] for label, runs in groups.items()}
    lines = []
    for label, layers in shares.items():
        values = [share for run in layers for share in run.values()]
        lines.append(f"{label}: {100 * min(values):.0f} to {100 * max(values):.0f} % by layer")
    alt = f"Dot plot of the share of zeros in each layer. {_listed(lines)}"
    caption = f"Zeros in each layer's weights at the end of the run. {how}".strip()
    return figure_picture(layers_figure(shares), alt, caption)


def duration_picture(results: Results) -> Picture | None:
    """Return the seconds of each round and of all coding."""
    ran = [run for run in results.runs if len(run.rounds)]
    groups, how = _grouped([run for run in ran if run.trains], results, r"federation\.num_clients$")
    if not groups:
        return None
    coders, _ = _grouped(ran, results, "codec$")
    coding = {
        label: (
            sum(run.messages["encode_s"].sum() for run in runs) / len(runs),
            sum(run.messages["decode_s"].sum() for run in runs) / len(runs),
        )
        for label, runs in coders.items()
    }
    lines = [
        f"{label}: {_mean(runs, 'wall_s', None, 1.0):.2g} s a round"
        for label, runs in groups.items()
    ]
    plots = "Line plot of the seconds of each round, above bars of the seconds of coding."
    caption = f"Wall time of training and scoring, and of coding. {how}".strip()
    return figure_picture(
        duration_figure(_rounds(groups), coding), f"{plots} {_listed(lines)}", caption
    )


def _grouped(runs: Sequence[RunFiles], results: Results, wanted: str) -> Grouping:
    """Return the runs of each line, and a sentence on the grouping.

    Few runs have one line each; many are grouped by the factor that matches ``wanted``, or else by
    the first factor.
    """
    if len(runs) <= _MOST_LINES:
        return {run.label: [run] for run in runs}, ""
    factors = [key for key in results.factors if key in runs[0].row]
    if not factors:
        return {"all runs": list(runs)}, "The line is the mean of all runs, the band their range."
    factor = next((key for key in factors if re.match(wanted, key)), factors[0])
    groups: dict[str, list[RunFiles]] = {}
    for run in sorted(runs, key=lambda run: _order(run.row[factor])):
        groups.setdefault(f"{factor}={run.row[factor]}", []).append(run)
    return groups, f"Means over the runs of each {factor}, with their range."


def _order(value: object) -> tuple[int, float]:
    """Return a sort key: numbers by size, then words in their order."""
    if isinstance(value, int | float):
        return (0, float(value))
    return (1, 0.0)


def _rounds(groups: Mapping[str, Sequence[RunFiles]]) -> dict[str, list[pd.DataFrame]]:
    return {label: [run.rounds for run in runs] for label, runs in groups.items()}


def _mean(runs: Sequence[RunFiles], column: str, place: int | None, scale: float = 1e-3) -> float:
    """Return the mean over runs of the value in one round, or of the mean over all rounds."""
    values = [
        run.rounds[column].mean() if place is None else run.rounds[column].iloc[place]
        for run in runs
    ]
    return scale * float(sum(values)) / len(values)


def _plain(key: str) -> str:
    return key.replace("_", " ")


def _listed(lines: Iterable[str]) -> str:
    lines = list(lines)
    more = [f"and {len(lines) - _MOST_LISTED} more"] if len(lines) > _MOST_LISTED else []
    return "; ".join([*lines[:_MOST_LISTED], *more]) + "."
