"""The tables of FEDERATED.md, written between its markers from the result files."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.papers.compressibility_wgan.federated.many_rounds import LEVELS, MEASURES
from experiments.papers.compressibility_wgan.federated.plan import AVERAGE, PLAIN
from experiments.study.markdown import fill_page
from flwr_gan.wiring import load_federation

PAGE = Path(__file__).parent / "FEDERATED.md"
FILES = ("one_shot", "longer_training", "bytes_to_quality", "many_rounds")
END = "<!-- end -->"
PAPER_SAMPLES, PAPER_RATIO = 3314, 15.17  # paper 000: size of its data set, last row of Table 2
NAMES = {
    "synthetic_accuracy": "synthetic accuracy",
    "conditional_accuracy": "conditional accuracy",
    "frechet_distance": "Fréchet distance",
}
Cells = Sequence[Sequence[str]]


def write_page(results: Path, path: Path) -> None:
    """Write the page with its tables made anew from a folder of results.

    Raises
    ------
    OutputError
        When a marker of the page is missing.
    """
    fill_page(PAGE, tables(results), output=path)


def tables(results: Path) -> dict[str, str]:
    """Return all tables of the page as Markdown, by the name of their marker."""
    pools, longer, reached, rounds = (_read(results / f"{name}.csv") for name in FILES)
    absent = "No cell of this table has ended."
    return {
        "bytes": bytes_table(pools) if len(pools) else absent,
        "accuracy": accuracy_table(pools) if len(pools) else absent,
        "longer": longer_table(pools, longer) if len(longer) else absent,
        "reached": reached_table(reached) if len(reached) else absent,
        "final": final_table(rounds) if len(rounds) else absent,
        "paper": paper_table(),
        "run": run_lines(results / "run.json"),
    }


def bytes_table(pools: pd.DataFrame) -> str:
    """Return uploads and stored data of each one-shot cell, in kB."""
    head = (
        "K", "partition", "tickets, wire", "payload", "int8 tickets, wire", "payload",
        "dense, wire", "dense zstd, wire", "data float32", "zstd", "data int8", "zstd",
        "pen points", "zstd", "clients with int8 ticket < int8 zstd data",
    )  # fmt: skip
    keys = (
        "ticket_message_bytes", "ticket_payload_bytes", "ticket_int8_message_bytes",
        "ticket_int8_payload_bytes", "dense_float32_message_bytes", "dense_zstd_message_bytes",
        "data_float32_bytes", "data_float32_zstd_bytes", "data_int8_bytes",
        "data_int8_zstd_bytes", "data_pen_bytes", "data_pen_zstd_bytes",
    )  # fmt: skip
    rows = []
    for _, row in pools.iterrows():
        if row["status"] != "finished":
            rows.append(_failed(row, len(head)))
            continue
        figures = [f"{row[key] / 1000:.1f}" if key in row else "-" for key in keys]
        fewer = f"{row['clients_int8_below_int8_zstd']:.0f} of {row['clients']}"
        rows.append([str(row["clients"]), str(row["partition"]), *figures, fewer])
    return markdown(head, rows)


def accuracy_table(pools: pd.DataFrame) -> str:
    """Return the accuracies of each one-shot cell, in percent."""
    head = (
        "K", "partition", "all real data", "one client's data: mean (range)", "dense pool",
        "ticket pool", "int8 ticket pool", "real data of the int8 tickets' bytes (samples)",
    )  # fmt: skip
    rows = []
    for _, row in pools.iterrows():
        if row["status"] != "finished":
            rows.append(_failed(row, len(head)))
            continue
        percent = {
            key: f"{100 * value:.1f}" for key, value in row.items() if "accuracy" in str(key)
        }
        ends = f"{percent['accuracy_client_min']} to {percent['accuracy_client_max']}"
        rows.append(
            [
                str(row["clients"]),
                str(row["partition"]),
                percent["accuracy_all_real"],
                f"{percent['accuracy_client_mean']} ({ends})",
                *(percent[f"accuracy_{pool}_pool"] for pool in ("dense", "ticket", "int8")),
                f"{percent['accuracy_equal_cost']} ({row['samples_equal_cost']:.0f})",
            ]
        )
    return markdown(head, rows)


def longer_table(pools: pd.DataFrame, longer: pd.DataFrame) -> str:
    """Return the accuracy of the dense pool after the study's training and after longer ones."""
    head = ("K", "partition", "iterations", "dense pool, accuracy (%)")
    rows: list[list[str]] = []
    for _, row in longer.iterrows():
        key = [str(row["federation"]), str(row["partition"])]
        same = pools[(pools.clients == row["federation"]) & (pools.partition == row["partition"])]
        if not rows and len(same) and same.status.iloc[0] == "finished":
            rows.append([*key, "as above", f"{100 * same.accuracy_dense_pool.iloc[0]:.1f}"])
        done = row["status"] == "finished"
        figure = f"{100 * row['accuracy_dense_pool']:.1f}" if done else f"failed: {row['reason']}"
        rows.append([*key, f"{row['iterations']:,}", figure])
    return markdown(head, rows)


def reached_table(reached: pd.DataFrame) -> str:
    """Return the mean MB after which each run reaches a level, and in how many seeds it does."""
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
    return markdown(head, rows)


def _reached(sizes: "pd.Series[int]") -> str:
    known = sizes.dropna()
    if not len(known):
        return "not reached"
    text = f"{known.astype(float).mean() / 1e6:.2f}"
    return text if len(known) == len(sizes) else f"{text} ({len(known)} of {len(sizes)} seeds)"


def final_table(rounds: pd.DataFrame) -> str:
    """Return total bytes and final quality of each run of many rounds, the mean over seeds."""
    head = ("data", "strategy", "wire", "MB in all", "ratio to plain", "% pruned", *NAMES.values())
    rows = []
    for data, part in rounds[rounds.status == "finished"].groupby("data", sort=False):
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
    failed = rounds[rounds.status != "finished"]
    rows += [_failed(row, len(head), ("data", "strategy")) for _, row in failed.iterrows()]
    return markdown(head, rows)


def paper_table() -> str:
    """Return what the paper's own figures come to: arithmetic, nothing is measured here."""
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
    return markdown(
        ("what would travel", "kB, computed"),
        [[name, f"{size / 1000:.1f}"] for name, size in forms.items()],
    )


def run_lines(path: Path) -> str:
    """Return a line on command, machine, time and versions."""
    run = json.loads(path.read_text())
    machine, seconds = run["machine"], run["core_s"]
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items())
    ended = f"{len(run['cells'])} of {run['cells_planned']} cells have ended"
    failed = sum(cell["status"] == "failed" for cell in run["cells"])
    return (
        f"`{run['command']}`, {run['date']}, {machine['cpu']}, {machine['cores']} cores; "
        f"{seconds['one_shot'] / 60:.1f} core-minutes for one shot, "
        f"{seconds['many_rounds'] / 60:.1f} for many rounds; {ended}, {failed} "
        f"failed. {versions}."
    )


def markdown(head: Sequence[str], rows: Cells) -> str:
    """Return a Markdown table; columns after the second are set flush right."""
    rule = [":--" if i < 2 else "--:" for i in range(len(head))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def _failed(
    row: "pd.Series[str]", width: int, keys: Sequence[str] = ("clients", "partition")
) -> list[str]:
    cells = [str(row[key]) for key in keys] + [f"failed: {row['reason']}"]
    return cells + [""] * (width - len(cells))


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame()
