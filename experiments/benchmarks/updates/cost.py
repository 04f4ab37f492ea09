"""Cost of encoding an update of ten million weights, compared with numpy's selection."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.benchmarks.output import RESULTS, in_turn, processor_s, write_measured
from experiments.study.markdown import Columns, number, page_table, write_parts
from flwr_gan.wire import Base, encode_payload, encode_to_send
from flwr_gan.wire.codecs import compiled

WEIGHTS, SHORT_WEIGHTS = 10_000_000, 200_000
REPEATS, SHARE = 7, 0.01
SELECTION = "numpy.argpartition"
_SENDING = "sending"
SPECS = ("topk:0.01+binary:network", "topk:0.01+int4", "randk:0.01+int4", "eden:1", "powersgd:4")


def measure_costs(*, short: bool) -> pd.DataFrame:
    """Return one row per codec: medians of processor seconds, codecs and numpy in turn.

    ``seconds`` are those of encoding the payload, ``sending_s`` of all of a sender's work, with
    error feedback. ``..._ratio`` are medians of the ratios to ``numpy.argpartition`` of the
    magnitudes in the same turn. With ``short`` there are fewer weights.
    """
    count = SHORT_WEIGHTS if short else WEIGHTS
    rng = np.random.default_rng(0)
    shape = (count // 1000, 1000)
    held = rng.standard_normal(shape, np.float32)
    change = rng.standard_normal(shape, np.float32) * np.float32(0.01)
    wanted = {"w": held + change}
    base, lost = Base({"w": held}), {"w": change[::-1].copy()}
    compiled.load()
    jobs: dict[str, Callable[[], object]] = {SELECTION: partial(_selected, change)}
    for spec in SPECS:
        told: dict[str, Any] = {"codec": spec, "base": base, "self_contained": False}
        jobs[spec] = partial(encode_payload, wanted, **told)
        jobs[f"{spec} {_SENDING}"] = partial(encode_to_send, wanted, residual=lost, **told)
    timed = {name: partial(processor_s, job) for name, job in jobs.items()}
    taken = pd.DataFrame(in_turn(timed, REPEATS))
    seconds, ratios = taken.median(), taken.div(taken[SELECTION], axis=0).median()
    return pd.DataFrame(
        {
            "codec": name,
            "weights": count,
            "seconds": seconds[name],
            "ratio": ratios[name],
            "sending_s": seconds.get(f"{name} {_SENDING}"),
            "sending_ratio": ratios.get(f"{name} {_SENDING}"),
        }
        for name in (SELECTION, *SPECS)
    )


def write_costs(results: Path, page: Path, *, short: bool, command: str) -> int:
    """Measure encoding, write the table and its part of the page; print the paths."""
    costs = measure_costs(short=short)
    path = results / "updates_cost.csv"
    write_measured(costs, path, command=command)
    columns: Columns = [
        ("codec", lambda row: f"`{row['codec']}`"),
        ("payload, s", lambda row: number(row["seconds"], 3)),
        ("to selection", lambda row: number(row["ratio"], 2)),
        ("with error feedback, s", lambda row: number(row["sending_s"], 3)),
        ("to selection", lambda row: number(row["sending_ratio"], 2)),
    ]
    parts = {"cost": page_table(costs, columns)}
    committed = results.resolve() == RESULTS.resolve()
    print(path, write_parts(parts, [page], results, committed=committed) or page, sep="\n")
    return 0


def _selected(change: NDArray[np.float32]) -> NDArray[np.intp]:
    magnitudes = np.abs(change).reshape(-1)
    return np.argpartition(magnitudes, len(magnitudes) - round(SHARE * len(magnitudes)))
