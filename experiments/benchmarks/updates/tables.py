"""When runs reach the level of their task, and what has travelled by then."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.benchmarks.updates.cases import PLAIN, Task
from experiments.benchmarks.updates.runs import Case
from experiments.study.cases import read_record
from flwr_gan.errors import OutputError

WINDOW = 3
GROUPS = ["task", "codec_up", "codec_down", "settings"]
COLUMNS = [
    "task", "codec_up", "codec_down", "seed", "round", "quality",
    "up_message_bytes", "down_message_bytes", "up_payload_bytes", "down_payload_bytes", "settings",
]  # fmt: skip


def read_all(cases: Sequence[Case], folder: Path) -> tuple[pd.DataFrame, float]:
    """Return the rounds of all finished cases, and their processor seconds.

    Raises
    ------
    OutputError
        If none is finished.
    """
    ended = (read_record(case, folder) for case in cases)
    records = [record for record in ended if record is not None and not record.reason]
    if not records:
        raise OutputError(f"no run in {folder} is finished: run it without --report first")
    rounds = pd.DataFrame([row for record in records for row in record.rows("rounds")])
    return rounds[COLUMNS], sum(record.cpu_s for record in records)


def summarise(rounds: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return a row a wire: means over seeds.

    ``reached_round`` is the mean of the first rounds at which the mean of the last three rounds
    stands at the level of the task, NaN unless every seed gets there; ``reached_bytes`` what had
    travelled by then, in whole messages both ways. ``bytes``, ``up_bytes`` are those of all
    rounds. What ends in ``_later`` is without the first broadcast. ``final`` is the mean quality
    of the last three rounds, and ``ratio...`` how many times more bytes plain Flower takes.
    """
    levels = {task.name: task.level for task in tasks}
    rows = []
    for key, part in rounds.groupby([*GROUPS, "seed"], sort=False):
        place = dict(zip([*GROUPS, "seed"], key, strict=True))
        rows.append(place | _of_run(part, levels[str(place["task"])]))
    runs = pd.DataFrame(rows)
    measures = [name for name in runs if name not in (*GROUPS, "seed")]
    found = []
    for key, part in runs.groupby(GROUPS, sort=False):
        mean = part[measures].mean(skipna=False).to_dict()
        found.append(dict(zip(GROUPS, key, strict=True)) | {"seeds": len(part)} | mean)
    table = pd.DataFrame(found)
    for name in ("reached_bytes", "reached_bytes_later", "bytes", "bytes_later", "up_bytes"):
        plain = table[(table["codec_up"] == PLAIN) & (table["settings"] == "")]
        table[f"ratio_{name}"] = table["task"].map(plain.set_index("task")[name]) / table[name]
    return table


def _of_run(part: pd.DataFrame, level: float) -> dict[str, float]:
    ordered = part.sort_values("round")
    messages = ordered["up_message_bytes"] + ordered["down_message_bytes"]
    first = float(messages.iloc[0])
    mean = ordered["quality"].where(ordered["round"] > 0).rolling(WINDOW).mean()
    reached = ordered["round"][mean >= level]
    by_then = messages.cumsum()[mean >= level]
    nan = float("nan")
    return {
        "reached_round": float(reached.iloc[0]) if len(reached) else nan,
        "reached_bytes": float(by_then.iloc[0]) if len(by_then) else nan,
        "reached_bytes_later": float(by_then.iloc[0]) - first if len(by_then) else nan,
        "rounds": float(ordered["round"].max()),
        "final": float(mean.iloc[-1]),
        "bytes": float(messages.sum()),
        "bytes_later": float(messages.sum()) - first,
        "up_bytes": float(ordered["up_message_bytes"].sum()),
        "up_payload_bytes": float(ordered["up_payload_bytes"].sum()),
    }
