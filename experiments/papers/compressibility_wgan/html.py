"""The study as one HTML page, from its tables and pictures."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments.papers.compressibility_wgan.statistics import MARGINS
from experiments.report.page import Code, Picture, Section, Table, write_page

TITLE = "Compressibility of WGANs in a distributed learning environment, done again"
FIGURES = {
    "quality": "Quality after P prunings: {data}, both readings and three controls",
    "fig2": "Fig. 2: real characters of {data}, one row a class",
    "fig3": "Fig. 3: characters of the dense generator, {data}, one row a class",
    "fig4": "Fig. 4: a character of every class after P = 1, 5, 10, 15, 16 and 17, {data}",
}


def write_html(path: Path, tables: Mapping[str, pd.DataFrame], results: Path) -> None:
    """Write the page, self-contained.

    Parameters
    ----------
    path : Path
        The page.
    tables : mapping of str to pandas.DataFrame
        By file name, as ``write_results`` has written them.
    results : Path
        Where pictures and ``run.json`` are.
    """
    run = json.loads((results / "run.json").read_text(encoding="utf-8"))
    margins = ", ".join(f"{margin} in {name.replace('_', ' ')}" for name, margin in MARGINS.items())
    sections = [
        Section(
            "Up to which P is quality not worse than that of the dense generator?",
            f"Paired seeds, 95 % t intervals of differences, margins fixed beforehand: {margins}.",
            Table(tables["headline.csv"], "Verdicts, and compression ratios at that P"),
        ),
        Section(
            "Table 2 of the paper, with ours beside it",
            "Published ratios, ours with zeros as weight * mask leaves them (signed), ours with "
            "the signs of zeros cleared (canonical); then this project's codec.",
            Table(tables["table2.csv"], "Compression ratios: dense float32 bytes to payload bytes"),
            *_picture(results / "ratios.png", "Compression ratios against the number of prunings"),
            Table(tables["signed_zeros.csv"], "What LZMA pays for signs of zeros, in bits"),
        ),
        *(
            _data_section(str(data), results)
            for data in dict.fromkeys(tables["codecs.csv"]["data"])
        ),
        Section(
            "Layers, global and local pruning",
            *_picture(results / "layers.png", "Share of pruned weights of each layer against P"),
            *_picture(results / "scopes.png", "Synthetic accuracy of global and local pruning"),
            Table(tables["layers.csv"], "Weights kept in each layer"),
        ),
        Section(
            "All figures",
            Table(
                tables["quality_summary.csv"], "Every measure: mean and half of its 95 % interval"
            ),
            Table(tables["not_worse.csv"], "Differences to the dense generator"),
            Table(tables["controls.csv"], "Differences of the controls to the retrained ticket"),
            Table(tables["codecs.csv"], "Every codec"),
        ),
        Section(
            "How it was made",
            Code(str(run["command"]), "Command"),
            Code(json.dumps(run, indent=2), "Settings, versions and machine", folded=True),
        ),
    ]
    write_page(path, TITLE, sections, lead=f"{len(run['cells'])} parts: {'; '.join(run['cells'])}.")


def _data_section(data: str, results: Path) -> Section:
    quality, *characters = (
        _picture(results / f"{name}_{data}.png", alt.format(data=data))
        for name, alt in FIGURES.items()
    )
    figures = "The figures of the paper:"
    return Section(data, *quality, figures, *(picture for part in characters for picture in part))


def _picture(path: Path, alt: str) -> list[Picture]:
    return [Picture(path, alt, alt)] if path.exists() else []
