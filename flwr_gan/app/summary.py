"""Bytes of a run's messages, per round and in total, as figures and as text lines."""

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from flwr_gan import __version__
from flwr_gan.app.run_config import target_of
from flwr_gan.core.atomic import write_text
from flwr_gan.flower.strategy import CompressedStrategy

if TYPE_CHECKING:
    from flwr_gan.app.run import Run

MEASURES = (
    "round", "clients", "failures", "up_bytes", "down_bytes", "dense_up_bytes",
    "dense_down_bytes", "sparsity",
)  # fmt: skip
HEADINGS = {
    "conditional_accuracy": "conditional acc.",
    "synthetic_accuracy": "synthetic acc.",
    "frechet_distance": "Fréchet",
    "test_accuracy": "test acc.",
    "test_loss": "test loss",
}


def measured(strategy: CompressedStrategy, server_round: int) -> dict[str, Any]:
    """Return the measured part of a round's row, with the names in ``MEASURES``."""
    ledger = strategy.ledger
    replies = [
        row
        for row in ledger.rows
        if (row.round, row.kind, row.direction) == (server_round, "train", "up")
    ]
    size = sum(row.parameters for row in replies)
    nonzero = sum(row.nonzero for row in replies)
    values = (
        server_round,
        sum(row.parameters > 0 for row in replies),
        len(strategy.failures.get(server_round, [])),
        ledger.total("message_bytes", direction="up", round=server_round),
        ledger.total("message_bytes", direction="down", round=server_round),
        ledger.total("dense_bytes", direction="up", round=server_round),
        ledger.total("dense_bytes", direction="down", round=server_round),
        1 - nonzero / size if size else float("nan"),
    )
    return dict(zip(MEASURES, values, strict=True))


def summarise(run: "Run", own: Mapping[str, Any]) -> dict[str, Any]:
    """Return totals, final metrics, ratios, versions, seed and wall time of a run.

    `own` are the scorer's additions.
    """
    ledger, config = run.strategy.ledger, run.config
    totals: dict[str, Any] = {}
    for direction in ("up", "down"):
        columns = ("dense_bytes", "payload_bytes", "message_bytes")
        dense, payload, message = (ledger.total(c, direction=direction) for c in columns)
        totals |= {
            f"dense_{direction}_bytes": dense,
            f"payload_{direction}_bytes": payload,
            f"{direction}_bytes": message,
            f"payload_{direction}_ratio": dense / payload if payload else None,
            f"message_{direction}_ratio": dense / message if message else None,
        }
    last = run.rounds[-1] if run.rounds else {}
    return {
        "name": config.name,
        "data": run.federation.dataset.name,
        "strategy": type(run.strategy.inner).__name__,
        "codec": config.codec,
        "seed": config.seed,
        "clients": config.federation.num_clients,
        "rounds": len(run.rounds),
        "failures": sum(int(row["failures"]) for row in run.rounds),
        "totals": totals,
        "final": {key: value for key, value in last.items() if key not in MEASURES[:7]},
        **own,
        "versions": {
            "flwr_gan": __version__,
            **{name: version(name) for name in ("flwr", "torch", "numpy")},
        },
        "wall_s": run.seconds,
        **({} if config.privacy is None else {"privacy": _spent(run)}),
        **({} if config.target is None else {"to_target": to_target(run.rounds, config.target)}),
        **({} if run.trained_by is None else {"trained_by": run.trained_by}),
    }


def to_target(rounds: Sequence[Mapping[str, Any]], target: str) -> dict[str, float | None]:
    """Return when a quality was first reached: rounds and virtual seconds; None if never."""
    measure, value = target_of(target)
    lower = measure == "frechet_distance"
    for row in rounds:
        found = row.get(measure, math.nan)
        if found <= value if lower else found >= value:
            return {"rounds_to_target": row["round"], "virtual_s_to_target": row.get("virtual_s")}
    return {"rounds_to_target": None, "virtual_s_to_target": None}


def write_summary(summary: Mapping[str, Any], path: Path) -> None:
    """Write a summary as JSON atomically; NaN becomes null."""
    write_text(path, json.dumps(_jsonable(summary), indent=2, allow_nan=False) + "\n")


def progress_line(row: Mapping[str, Any], *, num_rounds: int, seconds: float) -> str:
    """Return a round's line of live progress, with an estimate of the time left."""
    done = int(row["round"])
    left = (num_rounds - done) * seconds / done
    parts = [
        f"round {done:3d}/{num_rounds}",
        f"sparsity {100 * row['sparsity']:5.1f} %",
        f"up {row['up_bytes'] / 1000:8.1f} kB",
        f"down {row['down_bytes'] / 1000:8.1f} kB",
    ]
    parts += [f"{label} {row[key]:.3f}" for key, label in HEADINGS.items() if key in row]
    parts += [f"failures {row['failures']}"] if row["failures"] else []
    return " | ".join([*parts, f"{row['wall_s']:.1f} s, {left:.0f} s left"])


def closing_lines(
    rounds: Sequence[Mapping[str, Any]], summary: Mapping[str, Any], folder: Path, *, shows: str
) -> list[str]:
    """Return the closing table of a run and the place of its files."""
    table = pd.DataFrame(rounds)
    ratio = table["dense_up_bytes"] / table["up_bytes"]
    shown = pd.DataFrame(
        {
            "round": table["round"],
            "clients": table["clients"],
            "sparsity %": (100 * table["sparsity"]).round(1),
            "up bytes": table["up_bytes"],
            "down bytes": table["down_bytes"],
            "up ratio": ratio.round(2),
            **{label: table[key].round(3) for key, label in HEADINGS.items() if key in table},
        }
    )
    totals, lines = summary["totals"], ["", *shown.to_string(index=False).split("\n"), ""]
    for direction in ("up", "down"):
        payload, message = (totals[f"{kind}_{direction}_ratio"] for kind in ("payload", "message"))
        lines.append(
            f"{direction:>4}: {totals[f'{direction}_bytes']:,} bytes in messages; dense float32 is "
            f"{_times(payload)} the payloads and {_times(message)} the whole messages"
        )
    if summary.get("real") is not None:
        lines.append(
            "the classifier behind synthetic acc. reaches "
            f"{summary['real']['synthetic_accuracy']:.3f} when it is trained on real data"
        )
    for what in ("class", "client"):
        worst, scores = summary.get(f"worst_{what}", {}), summary.get(f"by_{what}", {})
        for key in worst.keys() & {"conditional_accuracy", "test_accuracy"}:
            share = 100 * scores[worst[key]][key]
            lines.append(f"worst {what}: {worst[key]}, {share:.1f} % of its samples recognised")
    if "copying" in summary:
        found = summary["copying"]
        lines.append(
            f"{100 * found['training_share']:.0f} % of the samples are nearer to a training sample "
            f"than to any test sample; {100 * found['training_share_expected']:.0f} % would be "
            "without copying"
        )
    lines.append(f"{summary['wall_s']:.0f} s; files are in {folder}{shows}")
    return lines


def _times(ratio: float | None) -> str:
    return "nothing beside" if ratio is None else f"{ratio:.2f} times"


def _spent(run: "Run") -> dict[str, float]:
    """Return the privacy guarantee for the samples of every client."""
    spent = [row["epsilon"] for row in run.spending]
    assert run.config.privacy is not None
    return {"epsilon": max(spent, default=0.0), "delta": run.config.privacy.delta}


def _jsonable(value: Any) -> Any:
    """Return the value with null instead of NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
