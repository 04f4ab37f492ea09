"""Codecs on pruned weights: ratio by pruning, loss of accuracy, speed."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from flwr_gan.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, tidy

LOOKS = {
    "zlib:9": (BLUE, "o"),
    "lzma:9": (RED, "s"),
    "bz2:9": (GREEN, "^"),
    "zstd:19": (ORANGE, "P"),
    "paq9a:1": (PINK, "D"),
    "pcodec:8": (SKY, "v"),
    "sparse": (BLACK, "*"),
}
PUBLISHED_LOOKS = {"zlib": BLUE, "lzma": RED, "bz2": GREEN, "paq9a": PINK}


def codecs_figure(table: pd.DataFrame, published: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the measurements of the codec benchmark.

    The table has one row per set of weights (``pP`` for P pruning iterations, or any name), kind of
    zeros (raw, canonical) and codec, with ratio, order0_bound_ratio, output_change (fraction, NaN
    if lossless), encode_mb_s and decode_mb_s. ``published`` gives ratios of a codec for P = 0, 1,
    2, ...
    """
    figure = Figure(figsize=(11.5, 8.2), layout="constrained")
    (raw, clean), (lossy, speed) = figure.subplots(2, 2)
    names = list(dict.fromkeys(table["weights"]))
    numbered = all(name[:1] == "p" and name[1:].isdigit() for name in names)
    places = {name: int(name[1:]) if numbered else at for at, name in enumerate(names)}
    lossless = table[table["output_change"].isna() & ~_is_lossy(table)]
    _ratios(raw, lossless[lossless["zeros"] == "raw"], places)
    if numbered:
        for codec, ratios in published.items():
            raw.plot(ratios, ls="--", lw=1.2, color=PUBLISHED_LOOKS.get(codec, GREY), zorder=1)
        raw.plot([], [], ls="--", color=GREY, label="published (same colours)")
    raw.set_title("signed zeros, as weight * mask leaves them")
    _ratios(clean, lossless[lossless["zeros"] == "canonical"], places)
    bound = table.groupby("weights", sort=False)["order0_bound_ratio"].max()
    spots = [places[name] for name in bound.index]
    clean.plot(spots, bound, ls=":", lw=1.6, color=GREY, label="order-0 bound (computed)", zorder=1)
    clean.set_title("zeros without sign")
    for axes in (raw, clean):
        axes.set_ylim(0.95, 1.25 * float(table.loc[lossless.index, "ratio"].max()))
        axes.set_xticks(list(places.values()), names if not numbered else None)
        axes.set_xlabel("pruning iterations P" if numbered else "weights")
        axes.set_ylabel("ratio (float32 bytes / payload bytes)")
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    last = table[(table["weights"] == names[-1]) & (table["zeros"] == "canonical")]
    _lossy(lossy, table, names)
    _speeds(speed, last, names[-1])
    return figure


def _is_lossy(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["codec"].str.contains("int|fp16|bf16")


def _ratios(axes: Axes, table: pd.DataFrame, places: Mapping[str, int]) -> None:
    for codec, (colour, marker) in LOOKS.items():
        rows = table[table["codec"] == codec]
        if len(rows):
            x = [places[name] for name in rows["weights"]]
            size = 9 if marker == "*" else 5
            axes.plot(x, rows["ratio"], color=colour, marker=marker, ms=size, lw=1.2, label=codec)
    _log(axes, "y", (1, 2, 5, 10, 20, 50))
    tidy(axes)


def _lossy(axes: Axes, table: pd.DataFrame, names: Sequence[str]) -> None:
    rows = table[_is_lossy(table) & table["output_change"].notna()]
    colours = dict(zip(names, (GREY, ORANGE, GREEN, SKY, PINK, RED), strict=False))
    for name in dict.fromkeys(rows["weights"]):
        part = rows[rows["weights"] == name].sort_values("ratio")
        colour = colours.get(name, BLUE)
        axes.plot(
            100 * part["output_change"], part["ratio"], marker="o", ms=5, lw=1, color=colour,
            label=name,
        )  # fmt: skip
        if name == names[-1]:
            for spec, change, ratio in zip(
                part["codec"], part["output_change"], part["ratio"], strict=True
            ):
                axes.annotate(
                    spec.split(":")[1], (100 * change, ratio), (0, 5),
                    textcoords="offset points", fontsize=8, ha="center",
                )  # fmt: skip
    axes.set_xlabel("output change (%), rms / standard deviation")
    axes.set_ylabel("ratio")
    axes.set_title("lossy values")
    tidy(axes)
    if len(rows):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_plain))
        _log(axes, "y", (2, 5, 10, 20, 50, 100, 200))
        axes.set_ylim(0.45 * float(rows["ratio"].min()), 1.35 * float(rows["ratio"].max()))
        axes.legend(frameon=False, fontsize=8, loc="lower center", ncols=6)


def _speeds(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    at = np.arange(len(rows))
    axes.barh(at - 0.2, rows["encode_mb_s"], 0.38, color=BLUE, label="encode")
    axes.barh(at + 0.2, rows["decode_mb_s"], 0.38, color=ORANGE, label="decode")
    labels = [
        f"{spec}  {ratio:.3g}" for spec, ratio in zip(rows["codec"], rows["ratio"], strict=True)
    ]
    axes.set_yticks(at, labels)
    axes.invert_yaxis()
    axes.set_xlabel("MB of float32 a second, one core")
    axes.set_title(f"speed and ratio, {name}", loc="left")
    _log(axes, "x", (1, 10, 100, 1000, 10000))
    tidy(axes)
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _log(axes: Axes, which: str, ticks: Sequence[float]) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    if which == "x":
        axes.set_xscale("log")
        axes.set_xticks(ticks)
    else:
        axes.set_yscale("log")
        axes.set_yticks(ticks)
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: object) -> str:
    return f"{value:g}"
