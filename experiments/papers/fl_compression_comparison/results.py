"""Tables of the comparison from the results of finished runs, and those of README.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from experiments.papers.fl_compression_comparison.cases import LINKS_MBIT, costs
from experiments.papers.fl_compression_comparison.setting import BY_NAME, PARTITIONS, TABLE_5
from experiments.study.cases import Record, all_rows
from experiments.study.markdown import Cell, Columns, cell, page_table
from experiments.study.results import description
from experiments.study.statistics import average, differences

GROUP = ["partition", "clients", "algorithm", "method"]
MEASURES = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
COSTS = (
    "ratio", "up_ratio", "down_ratio", "message_ratio", "sparse_ratio", "uploaded_nonzero",
    "delay_s", "compute_s", "coding_s", "transfer_computed_s", "teacher_s",
    *(f"delay_{mbit}_s" for mbit in LINKS_MBIT),
)  # fmt: skip

CONTROLS = ("student", "d_printed")
ALGORITHM_NAMES = {"fedavg": "FedAvg", "fedprox": "FedProx"}
_MEASURED: Columns = [
    ("test accuracy", ("test_accuracy", 2, 0.01)),
    ("training accuracy", ("train_accuracy", 2, 0.01)),
    ("test loss", ("test_loss", 3)),
    ("training loss", ("train_loss", 3)),
]


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return every table of the study; all but the first are means over seeds."""
    runs = pd.DataFrame([run_row(record) for record in records])
    summary = average(runs, GROUP, [*MEASURES, *COSTS])
    rounds, codecs, formulas = (
        all_rows(records, name) for name in ("rounds", "codecs", "formulas")
    )
    formulas = formulas[formulas["partition"] != "whole"] if len(formulas) else formulas
    groups = ["partition", "algorithm", "formula"]
    measured = ("zeros", "largest_error", "test_accuracy", "test_loss")
    by_round = average(rounds, [*GROUP, "round"], MEASURES)
    return {
        "runs.csv": runs,
        "summary.csv": summary,
        "differences.csv": to_uncompressed(runs),
        "table5.csv": table_5(summary),
        "rounds.csv": by_round.drop(columns=[f"{name}_half_width" for name in MEASURES]),
        "codecs.csv": average(codecs, [*GROUP, "codec"], ["payload_bytes", "ratio"]),
        "formulas.csv": (
            average(formulas, groups, measured)
            if len(formulas)
            else pd.DataFrame(columns=[*groups, "seeds", *measured])
        ),
    }


def run_row(record: Record) -> dict[str, Any]:
    """Return one run as a row: quality after the last round, bytes, seconds of a typical round."""
    row = record.row | costs(record.case, record.folder, pd.DataFrame(record.result["rounds"]))
    return row | {"uploaded_nonzero": row["uploaded_nonzero"] / row["parameters"]}


def to_uncompressed(runs: pd.DataFrame) -> pd.DataFrame:
    """Return each method's difference to no compression with the same split and seed."""
    return differences(
        runs, runs["method"] == "none", groups=GROUP, measures=MEASURES,
        pair=["partition", "clients", "algorithm", "seed"],
    )  # fmt: skip


def table_5(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's Table 5 and ours, for every split and algorithm."""
    shown = summary[summary["method"].isin(TABLE_5) & (summary["partition"] != "whole")]
    rows = []
    for _, row in shown.iterrows():
        paper = {f"paper_{k}": value for k, value in asdict(TABLE_5[row["method"]]).items()}
        rows.append({"model": list(TABLE_5).index(row["method"]) + 1} | paper | dict(row))
    return pd.DataFrame(rows)


def facts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return hyperparameters, the speed of the link, and class counts per client."""
    first = records[0].case
    return {
        "hyperparameters": asdict(first.hyperparameters),
        "link_mbit_per_s": first.link_mbit,
        "samples_by_client_and_class": {
            record.case.name: record.result["held"]
            for record in records
            if record.case.method.name == "none"
            and record.case.partition == "dirichlet"
            and record.case.algorithm == first.algorithm
        },
    }


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    settings, summary = run["hyperparameters"], tables["summary.csv"]
    samples = "all" if settings["num_samples"] is None else f"{settings['num_samples']:,}"
    details = f"{settings['num_rounds']} rounds, {samples} training samples."
    return {
        "table 5": paper_table(tables["table5.csv"]),
        "settings": by_setting(summary, {"test": "test_accuracy", "training": "train_accuracy"}),
        "differences": by_setting(tables["differences.csv"], {"": "test_accuracy"}, sign="+"),
        "costs": cost_table(summary),
        "delays": delay_table(summary),
        "codecs": codecs(tables["codecs.csv"]),
        "formulas": formulas(tables["formulas.csv"]),
        "controls": controls(summary),
        "run": description(run, details),
    }


def paper_table(table: pd.DataFrame) -> str:
    """Return the paper's columns and ours, IID with FedAvg."""
    columns: Columns = [
        ("model", lambda row: str(int(row["model"]))), ("techniques", _technique),
        ("accuracy: paper", ("paper_accuracy", 2)), ("test", ("test_accuracy", 2, 0.01)),
        ("training", ("train_accuracy", 2, 0.01)), ("loss: paper", ("paper_loss", 2)),
        ("test", ("test_loss", 3)), ("training", ("train_loss", 3)),
        ("delay: paper", ("paper_delay", 2)), ("ours, s", _mean("delay_s", 2)),
        ("ratio: paper", ("paper_ratio", 2)), ("ours", _mean("ratio", 3)),
    ]  # fmt: skip
    return page_table(_of(table, "iid", "fedavg"), columns)


def by_setting(table: pd.DataFrame, measures: Mapping[str, str], *, sign: str = "") -> str:
    """Return measures of all models in all four settings, one row per model."""
    grid = table[table["partition"] != "whole"]
    grid = grid[~grid["method"].isin(CONTROLS)]
    pairs = grid[["partition", "algorithm"]].itertuples(index=False, name=None)
    places = list(dict.fromkeys((str(a), str(b)) for a, b in pairs))

    def column(measure: str, place: tuple[str, str]) -> Cell:
        def text(row: Any) -> str:
            found = _of(table, *place)
            found = found[found["method"] == row["method"]]
            spec = (measure, 2, 0.01)
            return cell(found.iloc[0], spec, sign=sign) if len(found) else "-"

        return text

    columns: Columns = [("techniques", _technique)]
    for title, measure in measures.items():
        for partition, algorithm in places:
            head = f"{PARTITIONS[partition]}, {ALGORITHM_NAMES[algorithm]}"
            head += f": {title}" if title else ""
            columns.append((head, column(measure, (partition, algorithm))))
    return page_table(grid.drop_duplicates("method"), columns)


def cost_table(summary: pd.DataFrame) -> str:
    """Return bytes and seconds of a round, IID with FedAvg."""
    sparse, teacher = _mean("sparse_ratio", 3), _mean("teacher_s", 1)
    columns: Columns = [
        ("techniques", _technique), ("wire", lambda row: f"`{BY_NAME[row['method']].codec}`"),
        ("up", _mean("up_ratio", 3)), ("down", _mean("down_ratio", 3)),
        ("both", _mean("ratio", 3)), ("both, whole messages", _mean("message_ratio", 3)),
        ("`sparse` instead",
         lambda row: sparse(row) if BY_NAME[row["method"]].codec == "raw" else ""),
        ("compute, s", _mean("compute_s", 2)), ("coding, s", _mean("coding_s", 2)),
        ("transfer (computed), s", _mean("transfer_computed_s", 2)),
        ("teacher, once, s", lambda row: teacher(row) if BY_NAME[row["method"]].distil else ""),
    ]  # fmt: skip
    return page_table(_of(summary, "iid", "fedavg"), columns)


def delay_table(summary: pd.DataFrame) -> str:
    """Return the round delay over three links, and its share of the delay without compression."""
    chosen = _of(summary, "iid", "fedavg")
    columns: Columns = [("techniques", _technique)]
    for mbit in LINKS_MBIT:
        name = f"delay_{mbit}_s"
        plain = chosen.loc[chosen["method"] == "none", name]
        chosen[f"{name}_ratio"] = chosen[name] / (plain.iloc[0] if len(plain) else float("nan"))
        columns += [(f"{mbit} Mbit/s", _mean(name, 2)), ("ratio", _mean(f"{name}_ratio", 2))]
    return page_table(chosen, columns)


def codecs(table: pd.DataFrame) -> str:
    """Return the ratio of one upload of the last round under each codec, IID with FedAvg."""
    chosen = _of(table, "iid", "fedavg")
    specs = list(dict.fromkeys(chosen["codec"]))
    wide = chosen.pivot(index="method", columns="codec", values="ratio")
    shown = wide.reindex(chosen["method"].unique()).reset_index()
    columns: Columns = [(f"`{spec}`", (spec, 3)) for spec in specs]
    return page_table(shown, [("techniques", _technique), *columns])


def formulas(table: pd.DataFrame) -> str:
    """Return the effect of the formulas on the trained SimpleNN, IID with FedAvg."""
    columns: Columns = [
        ("formula", lambda row: str(row["formula"]).replace("|", "\\|")),
        ("weights that are zero", lambda row: f"{100 * row['zeros']:.1f} %"),
        ("largest error / max", _mean("largest_error", 4)), _MEASURED[0], _MEASURED[2],
    ]  # fmt: skip
    return page_table(_of(table, "iid", "fedavg"), columns)


def controls(summary: pd.DataFrame) -> str:
    """Return each control and its counterpart, all with FedAvg."""
    chosen = summary[summary["algorithm"] == "fedavg"]
    wanted = [
        ("none", "iid", 3), ("none", "whole", 3), ("none", "whole", 1), ("d", "iid", 3),
        ("student", "iid", 3), ("d_printed", "iid", 3), ("d", "dirichlet", 3),
        ("student", "dirichlet", 3),
    ]  # fmt: skip
    places = chosen[["method", "partition", "clients"]].apply(tuple, axis=1)
    shown = pd.concat([chosen[places == place] for place in wanted])

    def split(row: Any) -> str:
        return PARTITIONS[row["partition"]] if row["clients"] > 1 else "one model, all samples"

    columns: Columns = [
        ("run", lambda row: "no compression" if row["method"] == "none" else _technique(row)),
        ("split", split), ("seeds", lambda row: str(int(row["seeds"]))),
        ("parameters travel",
         lambda row: "49,300" if BY_NAME[row["method"]].small else "109,386"),
        *_MEASURED,
    ]  # fmt: skip
    return page_table(shown, columns)


def _of(table: pd.DataFrame, partition: str, algorithm: str) -> pd.DataFrame:
    chosen = table[(table["partition"] == partition) & (table["algorithm"] == algorithm)]
    return chosen[~chosen["method"].isin(CONTROLS)] if "method" in chosen else chosen


def _technique(row: Any) -> str:
    return BY_NAME[row["method"]].title


def _mean(name: str, digits: int) -> Callable[[Any], str]:
    return lambda row: f"{row[name]:.{digits}f}"
