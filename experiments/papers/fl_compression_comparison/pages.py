"""The tables of README.md, from the tables of results."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from experiments.papers.fl_compression_comparison.setting import BY_NAME, PARTITIONS
from experiments.study.markdown import averaged, markdown_table, plus_minus

ALGORITHM_NAMES = {"fedavg": "FedAvg", "fedprox": "FedProx"}


def page_parts(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    return {
        "table 5": table_5(tables["table5.csv"]),
        "settings": settings(tables["summary.csv"]),
        "differences": differences(tables["differences.csv"]),
        "costs": costs(tables["summary.csv"]),
        "codecs": codecs(tables["codecs.csv"]),
        "formulas": formulas(tables["formulas.csv"]),
        "controls": controls(tables["summary.csv"]),
        "run": description(run),
    }


def table_5(table: pd.DataFrame) -> str:
    """Return the paper's columns with ours beside each, IID with FedAvg."""
    head = (
        "model", "techniques", "accuracy: paper", "test", "training", "loss: paper", "test",
        "training", "delay: paper", "ours, s", "ratio: paper", "ours",
    )  # fmt: skip
    rows = []
    for _, row in _of(table, "iid", "fedavg").iterrows():
        rows.append(
            [
                str(int(row["model"])),
                BY_NAME[row["method"]].title,
                f"{row['paper_accuracy']:.2f}",
                _percent(row, "test_accuracy"),
                _percent(row, "train_accuracy"),
                f"{row['paper_loss']:.2f}",
                _number(row, "test_loss"),
                _number(row, "train_loss"),
                f"{row['paper_delay']:.2f}",
                f"{row['delay_s']:.2f}",
                f"{row['paper_ratio']:.2f}",
                f"{row['ratio']:.3f}",
            ]
        )
    return markdown_table(head, rows)


def settings(summary: pd.DataFrame) -> str:
    """Return test and training accuracy of all models in all four settings."""
    places = _places(summary)
    head = ("techniques", *(f"{_title(*place)}: test" for place in places))
    head += tuple(f"{_title(*place)}: training" for place in places)
    rows = []
    for name in dict.fromkeys(_gridded(summary)["method"]):
        cells = [
            _cell(_of(summary, *place), str(name), measure)
            for measure in ("test_accuracy", "train_accuracy")
            for place in places
        ]
        rows.append([BY_NAME[str(name)].title, *cells])
    return markdown_table(head, rows)


def differences(table: pd.DataFrame) -> str:
    """Return the change of test accuracy against no compression, in all four settings."""
    places = _places(table)
    head = ("techniques", *(_title(*place) for place in places))
    rows = []
    for name in dict.fromkeys(_gridded(table)["method"]):
        cells = [_cell(_of(table, *place), str(name), "test_accuracy", "+") for place in places]
        rows.append([BY_NAME[str(name)].title, *cells])
    return markdown_table(head, rows)


def costs(summary: pd.DataFrame) -> str:
    """Return bytes and seconds of a round, IID with FedAvg."""
    head = (
        "techniques", "wire", "up", "down", "both", "both, whole messages", "`sparse` instead",
        "compute, s", "coding, s", "transfer (computed), s", "teacher, once, s",
    )  # fmt: skip
    rows = []
    for _, row in _of(summary, "iid", "fedavg").iterrows():
        method = BY_NAME[row["method"]]
        cells = [
            f"{row[name]:.3f}" for name in ("up_ratio", "down_ratio", "ratio", "message_ratio")
        ]
        sparse = f"{row['sparse_ratio']:.3f}" if method.codec == "raw" else ""
        cells.append(sparse)
        cells += [f"{row[n]:.2f}" for n in ("compute_s", "coding_s", "transfer_computed_s")]
        cells.append(f"{row['teacher_s']:.1f}" if method.distil else "")
        rows.append([method.title, f"`{method.codec}`", *cells])
    return markdown_table(head, rows)


def codecs(table: pd.DataFrame) -> str:
    """Return the ratio of one upload of the last round under each codec, IID with FedAvg."""
    chosen = _of(table, "iid", "fedavg")
    specs = list(dict.fromkeys(chosen["codec"]))
    head = ("techniques", *(f"`{spec}`" for spec in specs))
    rows = []
    for name, part in chosen.groupby("method", sort=False):
        ratios = part.set_index("codec")["ratio"]
        rows.append([BY_NAME[str(name)].title, *(f"{ratios[spec]:.3f}" for spec in specs)])
    return markdown_table(head, rows)


def formulas(table: pd.DataFrame) -> str:
    """Return what formulas do to the trained SimpleNN, IID with FedAvg."""
    head = ("formula", "weights that are zero", "largest error / max", "test accuracy", "test loss")
    rows = []
    for _, row in _of(table, "iid", "fedavg").iterrows():
        error = f"{row['largest_error']:.4f}"
        zeros = f"{100 * row['zeros']:.1f} %"
        formula = str(row["formula"]).replace("|", "\\|")
        accuracy, loss = _percent(row, "test_accuracy"), _number(row, "test_loss")
        rows.append([formula, zeros, error, accuracy, loss])
    return markdown_table(head, rows)


def controls(summary: pd.DataFrame) -> str:
    """Return each control beside what it controls for, all with FedAvg."""
    head = ("run", "split", "seeds", "parameters travel", "test accuracy", "training accuracy",
            "test loss", "training loss")  # fmt: skip
    chosen = summary[summary["algorithm"] == "fedavg"]
    wanted = [
        ("none", "iid", 3), ("none", "whole", 3), ("none", "whole", 1), ("d", "iid", 3),
        ("student", "iid", 3), ("d_printed", "iid", 3), ("d", "dirichlet", 3),
        ("student", "dirichlet", 3),
    ]  # fmt: skip
    rows = []
    for name, partition, clients in wanted:
        found = chosen[
            (chosen["method"] == name)
            & (chosen["partition"] == partition)
            & (chosen["clients"] == clients)
        ]
        for _, row in found.iterrows():
            where = PARTITIONS[partition] if clients > 1 else "one model, all samples"
            cells = [_percent(row, m) for m in ("test_accuracy", "train_accuracy")]
            cells += [_number(row, m) for m in ("test_loss", "train_loss")]
            size = "49,300" if BY_NAME[name].small else "109,386"
            title = "no compression" if name == "none" else BY_NAME[name].title
            rows.append([title, where, str(int(row["seeds"])), size, *cells])
    return markdown_table(head, rows)


def description(run: Mapping[str, Any]) -> str:
    """Return command, machine, time and versions in a few lines."""
    settings = run["hyperparameters"]
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    samples = "all" if settings["num_samples"] is None else f"{settings['num_samples']:,}"
    seeds = ", ".join(map(str, run["seeds"]))
    total = run["runs"] + len(run["missing"])
    missing = (
        f"{len(run['missing'])} of {total}, named in [run.json](results/run.json)"
        if run["missing"]
        else "nothing"
    )
    return (
        f"`{run['command']}`, {run['date']}: {run['runs']} runs, seeds {seeds}, "
        f"{settings['num_rounds']} rounds, {samples} training samples, {run['core_minutes']} "
        f"core-minutes, one thread, on {run['machine']}.\n\n{versions}.\n\n"
        f"Not run: {missing}."
    )


def _of(table: pd.DataFrame, partition: str, algorithm: str) -> pd.DataFrame:
    chosen = table[(table["partition"] == partition) & (table["algorithm"] == algorithm)]
    if "method" in chosen:
        return chosen[~chosen["method"].isin(["student", "d_printed"])]
    return chosen


def _gridded(table: pd.DataFrame) -> pd.DataFrame:
    grid = table[table["partition"] != "whole"]
    return grid[~grid["method"].isin(["student", "d_printed"])]


def _places(table: pd.DataFrame) -> list[tuple[str, str]]:
    pairs = _gridded(table)[["partition", "algorithm"]].itertuples(index=False, name=None)
    return list(dict.fromkeys((str(a), str(b)) for a, b in pairs))


def _title(partition: str, algorithm: str) -> str:
    return f"{PARTITIONS[partition]}, {ALGORITHM_NAMES[algorithm]}"


def _cell(table: pd.DataFrame, method: str, measure: str, sign: str = "") -> str:
    found = table[table["method"] == method]
    return _percent(found.iloc[0], measure, sign) if len(found) else "-"


def _percent(row: Any, measure: str, sign: str = "") -> str:
    half = row[f"{measure}_half_width"]
    return plus_minus(100 * row[measure], 100 * half, 2, sign=sign)


def _number(row: Any, measure: str) -> str:
    return averaged(row, measure, 3)
