"""The text of a report, section by section."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from experiments.report.figures import (
    duration_picture,
    layers_picture,
    quality_picture,
    traffic_picture,
)
from experiments.report.folders import Results, RunFiles
from experiments.report.page import Code, Picture, Section, Table
from experiments.report.repeat import repeat_lines
from experiments.results_table import QUALITY_HEADINGS

MOST_GRIDS = 12
_MOST_ROUND_TABLES = 3
_MOST_COMMANDS = 12
_BYTES = {
    "up_bytes": "message bytes up",
    "down_bytes": "message bytes down",
    "payload_up_bytes": "payload bytes up",
    "payload_down_bytes": "payload bytes down",
    "payload_up_ratio": "payload ratio up",
    "message_up_ratio": "message ratio up",
    "message_down_ratio": "message ratio down",
}
_OF_BYTES = (
    "Ratios are bytes of dense float32 per byte sent; messages are whole messages as Flower's "
    "transport stores them, payloads the coded weights in them."
)
_COPYING = {
    "nearest_ratio": "distance to training samples / of real ones",
    "copying_z": "copying z",
    "training_share": "nearer to training than to test",
    "training_share_expected": "expected without copying",
}
_ON_COPIES = (
    "Copying shows where more samples are nearer to a training sample than to any test sample than "
    "is expected; a distance below that of real ones, or z below -3, may also come from samples "
    "that are all typical."
)
_FEWER = {"rounds": "rounds", "failures": "failures", "sparsity": "sparsity"}


def title_of(results: Results) -> str:
    """Return the title of a report."""
    names = [folder.resolve().name for folder in results.folders]
    if len(names) > 1:
        return f"Report on {len(names)} folders of runs"
    return f"{'Run' if len(results.runs) == 1 else 'Runs'} of {names[0]}"


def lead_of(results: Results) -> str:
    """Return a sentence on the number of runs and how they ended."""
    counts = results.table["status"].value_counts()
    number = len(results.runs)
    known = [
        (name, counts[name]) for name in ("finished", "failed", "unfinished") if name in counts
    ]
    runs = f"{number} run{'' if number == 1 else 's'}"
    return f"{runs}: {', '.join(f'{n} {name}' for name, n in known)}."


def sections_of(results: Results, *, grids: int = MOST_GRIDS) -> list[Section]:
    """Return all sections of a report that are not empty."""
    made = (
        _asked(results),
        _failed(results),
        _results(results),
        _plots(results),
        _samples(results, grids),
        _breakdown(results, grids),
        _rounds(results),
        _settings(results),
        _repeat(results),
    )
    return [section for section in made if section.blocks]


def _asked(results: Results) -> Section:
    table, factors = results.table, results.factors
    facts = []
    for key in ("data", "strategy", "codec", "clients", "seed", "rounds"):
        if key in table and key not in factors and table[key].nunique() == 1:
            facts.append((key, _listed(table[key])))
    facts += [(key, _listed(table[key])) for key in factors]
    facts += [("folder", str(folder)) for folder in results.folders if len(results.folders) == 1]
    frame = pd.DataFrame(facts, columns=["setting", "value"])
    return Section("What was run", Table(frame, "What the runs have in common, and what varies"))


def _failed(results: Results) -> Section:
    failed = [run for run in results.runs if run.status == "failed"]
    if not failed:
        return Section("Failed runs")
    rows = [
        {**{key: run.row[key] for key in results.factors}, "reason": run.row["reason"]}
        for run in failed
    ]
    text = f"{len(failed)} of {len(results.runs)} runs failed; the same command tries them again."
    return Section("Failed runs", text, Table(pd.DataFrame(rows), "Failed runs and why"))


def _results(results: Results) -> Section:
    table = results.table
    keys = results.factors or [key for key in ("codec",) if key in table]
    quality = _columns(results, [*keys, "status"], QUALITY_HEADINGS | _FEWER)
    blocks: list[str | Table] = [Table(quality, "How each run ended, and its final quality")]
    finished = table[table["status"] == "finished"]
    if "up_bytes" in table and len(finished):
        weighed = _columns(results, keys, _BYTES, finished)
        blocks += [
            Table(weighed, "What travelled in each finished run"),
            _OF_BYTES,
        ]
        times = finished[keys].copy()
        times["seconds"] = finished["wall_s"].astype(float)
        trained = [run.trains for run in results.runs if run.status == "finished"]
        if not all(trained):
            times["training"] = ["own" if own else "shared" for own in trained]
        blocks.append(Table(times, "Wall time of each finished run"))
        if not all(trained):
            blocks.append(
                "Runs that differ in a lossless codec alone share one training, and with it its "
                "time: every message was coded with each of the codecs."
            )
    return Section("Results", *blocks)


def _plots(results: Results) -> Section:
    named = (
        ("Quality against bytes", quality_picture),
        ("Bytes a round", traffic_picture),
        ("Sparsity of each layer", layers_picture),
        ("Time", duration_picture),
    )
    drawn = [(name, make(results)) for name, make in named]
    return Section("Plots", *(Section(name, picture) for name, picture in drawn if picture))


def _samples(results: Results, most: int) -> Section:
    alt = "Samples that the generator of {} drew, one row per class"
    pictures, number = _drawn(results, "samples.png", alt, most)
    if not pictures:
        return Section("Samples")
    text = "Drawn by each generator at the end of its run, one row per class."
    if number > most:
        text += f" {most} of {number} trainings; the others' are in their folders as samples.png."
    return Section("Samples", text, *pictures)


def _breakdown(results: Results, most: int) -> Section:
    rows = [
        {"run": run.label} | _worst(run.summary) | run.summary.get("copying", {})
        for run in results.runs
        if run.trains and run.status == "finished"
    ]
    frame = pd.DataFrame([row for row in rows if len(row) > 1]).rename(columns=_COPYING)
    if not len(frame):
        return Section("Classes, clients and copies")
    alt = "Bars of quality by class and by client, and distances to training samples, of {}"
    pictures, _ = _drawn(results, "breakdown.png", alt, most)
    caption = "The class and the client whose samples are recognised least, and signs of copying"
    return Section("Classes, clients and copies", Table(frame, caption), _ON_COPIES, *pictures)


def _worst(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the least recognised class and client of a run, with their shares."""
    found: dict[str, Any] = {}
    for what in ("class", "client"):
        name = summary.get(f"worst_{what}", {}).get("conditional_accuracy")
        if name is not None:
            share = summary.get(f"by_{what}", {}).get(name, {}).get("conditional_accuracy")
            found |= {f"worst {what}": name, f"recognised of worst {what}": share}
    return found


def _drawn(results: Results, name: str, alt: str, most: int) -> tuple[list[Picture], int]:
    """Return the pictures of at most ``most`` trainings, and how many trainings have one."""
    shown = [(run, run.picture(name)) for run in results.runs if run.trains]
    found = [(run, path) for run, path in shown if path is not None]
    number = len(found)
    if number > most:  # choose some, spread over all
        found = [found[round(i * (number - 1) / max(1, most - 1))] for i in range(most)]
    return [Picture(path, alt.format(run.label), run.label) for run, path in found], number


def _rounds(results: Results) -> Section:
    runs = [run for run in results.runs if len(run.rounds)]
    if len(runs) > _MOST_ROUND_TABLES:
        return Section("Rounds")
    names = {"up_bytes": "bytes up", "down_bytes": "bytes down", "wall_s": "seconds"}
    wanted = ["round", "clients", "failures", "sparsity", *names, *QUALITY_HEADINGS]
    tables = []
    for run in runs:
        kept = run.rounds[[key for key in wanted if key in run.rounds]]
        renamed = kept.rename(columns=names | QUALITY_HEADINGS)
        tables.append(Table(renamed, f"Each round of {run.label}"))
    return Section("Rounds", *tables)


def _settings(results: Results) -> Section:
    blocks: list[str | Table | Code] = []
    versions = list(_versions(results.runs))
    if versions:
        frame = pd.DataFrame(versions, columns=["package", "version"])
        blocks.append(Table(frame, "Versions that the finished runs used"))
    for folder in results.folders:
        inside = [
            run for run in results.runs if run.folder == folder or folder in run.folder.parents
        ]
        run = next((run for run in inside if run.config), None)
        if run is None:
            continue
        others = (
            f"; the other runs differ in {', '.join(results.factors)}" if results.factors else ""
        )
        blocks.append(Code(run.config, f"config.yaml of {run.label}{others}", folded=True))
    return Section("Settings and versions", *blocks)


def _repeat(results: Results) -> Section:
    commands = list(results.commands)
    configs = {
        run.folder: run.config
        for run in results.runs
        if run.trains and run.config and run.folder.parent not in results.sweeps
    }
    few = dict(list(configs.items())[:_MOST_COMMANDS])
    own, unknown = repeat_lines(few)
    commands += own
    blocks: list[str | Code] = []
    if commands:
        blocks.append(Code("\n".join(commands), "In the project's folder"))
    if len(configs) > len(few):
        blocks.append(f"The first {len(few)} of {len(configs)} runs.")
    if unknown:
        names = ", ".join(folder.name for folder in unknown)
        blocks.append(
            f"conf/ has changed since: no command gives the settings of {names}. Each has them in "
            "its config.yaml."
        )
    return Section("Repeat it", *blocks)


def _columns(
    results: Results, keys: list[str], names: dict[str, str], table: pd.DataFrame | None = None
) -> pd.DataFrame:
    table = results.table if table is None else table
    measured = [key for key in names if key in table and table[key].notna().any()]
    kept = table[list(dict.fromkeys([*keys, *measured]))]
    return kept.rename(columns={key: names[key] for key in measured})


def _listed(column: "pd.Series[Any]") -> str:
    values = list(dict.fromkeys(str(value) for value in column if not pd.isna(value)))
    return ", ".join(values[:20]) + (f" and {len(values) - 20} more" if len(values) > 20 else "")


def _versions(runs: tuple[RunFiles, ...]) -> Iterator[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        versions = run.summary.get("versions", {}) if run.status == "finished" else {}
        for name, version in versions.items() if isinstance(versions, dict) else ():
            found.setdefault(str(name), {})[str(version)] = None
    for name, several in found.items():
        yield name, ", ".join(several)
