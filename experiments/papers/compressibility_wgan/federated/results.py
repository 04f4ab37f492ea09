"""The tables of the study, from the measures of its cases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from experiments.papers.compressibility_wgan.federated.many_rounds import (
    COLUMNS,
    LEVELS,
    MEASURES,
    RoundsCase,
    bytes_to_quality,
    with_quality_of_plain,
)
from experiments.papers.compressibility_wgan.federated.one_shot import LongerCase, PoolCase
from experiments.papers.compressibility_wgan.federated.plan import AVERAGE, PLAIN
from experiments.papers.compressibility_wgan.pages import NAMES
from experiments.study.cases import Record, all_rows
from experiments.study.markdown import Columns, markdown_table, page_table
from experiments.study.results import description
from flwr_gan.app.federation import load_federation

COUNTS = ("round", "samples", "samples_equal_cost", "parameters", "prunings")
PAPER_SAMPLES, PAPER_RATIO = 3314, 15.17  # paper 000: size of its data set, last row of Table 2


def tables(records: Sequence[Record]) -> dict[str, pd.DataFrame]:
    """Return the tables of all kinds of cases that have finished."""
    pools, longer, runs = (
        [record for record in records if type(record.case) is kind]
        for kind in (PoolCase, LongerCase, RoundsCase)
    )
    found = {
        "one_shot": pd.DataFrame([record.row for record in pools]),
        "one_shot_clients": all_rows(pools, "clients").rename(columns={"clients": "federation"}),
        "longer_training": pd.DataFrame([record.row for record in longer]),
    }
    if runs:
        columns = [*runs[0].case.place, *COLUMNS]
        rounds = with_quality_of_plain(all_rows(runs, "rounds").reindex(columns=columns))
        found |= {"many_rounds": rounds, "bytes_to_quality": bytes_to_quality(rounds)}
    return {f"{name}.csv": _counted(table) for name, table in found.items() if len(table)}


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with integer columns as integers."""
    counts = [name for name in table if str(name).endswith("bytes") or name in COUNTS]
    return table.astype(dict.fromkeys(counts, "Int64"))


def page(tables: Mapping[str, pd.DataFrame], run: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each marker of the page."""
    needed: dict[str, tuple[Callable[..., str], list[str]]] = {
        "bytes": (bytes_table, ["one_shot"]),
        "accuracy": (accuracy_table, ["one_shot"]),
        "longer": (longer_table, ["one_shot", "longer_training"]),
        "reached": (reached_table, ["bytes_to_quality"]),
        "final": (final_table, ["many_rounds"]),
    }
    parts = {}
    for marker, (make, names) in needed.items():
        found = [tables[f"{name}.csv"] for name in names if f"{name}.csv" in tables]
        whole = len(found) == len(names)
        parts[marker] = make(*found) if whole else "No case of this table has finished."
    return parts | {"paper": paper_table(), "run": description(run)}


def bytes_table(pools: pd.DataFrame) -> str:
    """Return uploads and stored data of each one-shot case, in kB."""
    names = {
        "tickets, wire": "ticket_message_bytes",
        "payload": "ticket_payload_bytes",
        "int8 tickets, wire": "ticket_int8_message_bytes",
        "payload ": "ticket_int8_payload_bytes",
        "dense, wire": "dense_float32_message_bytes",
        "dense zstd, wire": "dense_zstd_message_bytes",
        "data float32": "data_float32_bytes",
        "zstd": "data_float32_zstd_bytes",
        "data int8": "data_int8_bytes",
        "zstd ": "data_int8_zstd_bytes",
        "pen points": "data_pen_bytes",
        "zstd  ": "data_pen_zstd_bytes",
    }
    fewer = "clients with int8 ticket < int8 zstd data"
    columns: Columns = [
        ("K", "clients"),
        ("partition", "partition"),
        *((head.strip(), (name, 1, 1000)) for head, name in names.items()),
        (fewer, lambda row: f"{row['clients_int8_below_int8_zstd']:.0f} of {row['clients']}"),
    ]
    return page_table(pools, columns, flush_right=True)


def accuracy_table(pools: pd.DataFrame) -> str:
    """Return the accuracies of each one-shot case, in percent."""

    def percent(row: Any, name: str) -> str:
        return f"{100 * row[f'accuracy_{name}']:.1f}"

    def clients(row: Any) -> str:
        mean, low, high = (percent(row, f"client_{name}") for name in ("mean", "min", "max"))
        return f"{mean} ({low} to {high})"

    columns: Columns = [
        ("K", "clients"),
        ("partition", "partition"),
        ("all real data", lambda row: percent(row, "all_real")),
        ("one client's data: mean (range)", clients),
        ("dense pool", lambda row: percent(row, "dense_pool")),
        ("ticket pool", lambda row: percent(row, "ticket_pool")),
        ("int8 ticket pool", lambda row: percent(row, "int8_pool")),
        (
            "real data of the int8 tickets' bytes (samples)",
            lambda row: f"{percent(row, 'equal_cost')} ({row['samples_equal_cost']:.0f})",
        ),
    ]
    return page_table(pools, columns, flush_right=True)


def longer_table(pools: pd.DataFrame, longer: pd.DataFrame) -> str:
    """Return the accuracy of the dense pool after the study's training and after longer ones."""
    first = longer.iloc[0]
    same = pools[(pools.clients == first["federation"]) & (pools.partition == first["partition"])]
    shown = pd.concat([same.rename(columns={"clients": "federation"}), longer])

    def iterations(row: Any) -> str:
        return "as above" if pd.isna(row["iterations"]) else f"{row['iterations']:,.0f}"

    columns: Columns = [
        ("K", "federation"), ("partition", "partition"), ("iterations", iterations),
        ("dense pool, accuracy (%)", ("accuracy_dense_pool", 1, 0.01)),
    ]  # fmt: skip
    return page_table(shown, columns, flush_right=True)


def reached_table(reached: pd.DataFrame) -> str:
    """Return the mean MB until each run reaches a level, and the number of seeds that reach it."""
    pairs = list(dict.fromkeys(zip(reached.strategy, reached.wire, strict=True)))
    head = ("data", "quality", *(f"{strategy}, {wire}" for strategy, wire in pairs))
    rows = []
    for data in dict.fromkeys(reached.data):
        for measure, levels in LEVELS.items():
            sign = "at most" if measure == "frechet_distance" else "at least"
            for level in levels:
                found = reached[
                    (reached.data == data) & (reached.measure == measure) & (reached.level == level)
                ].set_index(["strategy", "wire"])
                cells = [_reached(found.loc[[pair], "total_bytes"]) for pair in pairs]
                rows.append([data, f"{NAMES[measure]} {sign} {level:g}", *cells])
    return markdown_table(head, rows, flush_right=True)


def _reached(sizes: "pd.Series[int]") -> str:
    known = sizes.dropna()
    if not len(known):
        return "not reached"
    text = f"{known.astype(float).mean() / 1e6:.2f}"
    return text if len(known) == len(sizes) else f"{text} ({len(known)} of {len(sizes)} seeds)"


def final_table(rounds: pd.DataFrame) -> str:
    """Return total bytes and final quality of the runs of many rounds, means over seeds."""
    head = (
        "data", "strategy", "wire", "MB in all", "ratio to plain", "% pruned",
        *(NAMES[measure] for measure in MEASURES),
    )  # fmt: skip
    rows = []
    for data, part in rounds.groupby("data", sort=False):
        last = part.sort_values("round").groupby(["strategy", "wire", "seed"], sort=False).last()
        mean = last.groupby(["strategy", "wire"], sort=False).mean(numeric_only=True)
        mean = mean.loc[list(dict.fromkeys(zip(part.strategy, part.wire, strict=True)))]
        plain = mean.total_bytes.get((AVERAGE, PLAIN), float("nan"))
        for pair, row in mean.iterrows():
            strategy, wire = str(pair[0]), str(pair[1])  # type: ignore[index]
            rows.append(
                [
                    str(data),
                    strategy,
                    wire,
                    f"{row.total_bytes / 1e6:.2f}",
                    f"{plain / row.total_bytes:.1f}",
                    f"{100 * row.sparsity:.1f}",
                    *(f"{row[measure]:.3f}" for measure in MEASURES),
                ]
            )
    return markdown_table(head, rows, flush_right=True)


def paper_table() -> str:
    """Return the bytes that follow from the paper's figures; computed, not measured."""
    federation = load_federation("experiment=paper")
    generator, _ = federation.networks(0)
    weights = sum(parameter.numel() for parameter in generator.parameters())
    values = federation.dataset.num_vectors * federation.dataset.num_components
    forms = {
        f"generator of {weights:,} float32 weights": 4 * weights,
        f"the same, {PAPER_RATIO} times smaller": 4 * weights / PAPER_RATIO,
        f"all {PAPER_SAMPLES:,} samples, float32, not compressed": PAPER_SAMPLES * (4 * values + 1),
        f"all {PAPER_SAMPLES:,} samples, int8, not compressed": PAPER_SAMPLES * (values + 1),
    }
    rows = [[name, f"{size / 1000:.1f}"] for name, size in forms.items()]
    return markdown_table(("what would travel", "kB, computed"), rows, flush_right=True)
