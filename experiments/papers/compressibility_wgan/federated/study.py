"""The loop over the cells: each is run once, a failure is kept and shown, results come as they do.

A cell's folder holds its runs and, once it has ended, ``cell.json``.
"""

import json
import logging
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.papers.compressibility_wgan.federated import many_rounds, one_shot
from experiments.papers.compressibility_wgan.federated.plan import (
    PLAIN,
    Cell,
    LongerCell,
    Plan,
    PoolCell,
)
from flwr_gan.atomic import write_text
from flwr_gan.errors import FlwrGanError, OutputError

RECORD = "cell.json"
log = logging.getLogger("flwr_gan.experiments")


def run_cells(plan: Plan, folder: Path) -> Iterator[dict[str, Any]]:
    """Bring each cell to its end and yield its record; what has finished before is read.

    Parameters
    ----------
    plan : Plan
        The cells.
    folder : Path
        Where their runs and records are kept.

    Raises
    ------
    OutputError
        When the folder holds a record of other settings, or a damaged one.
    """
    cells = plan.cells()
    records = read_records(plan, folder)
    spent: list[tuple[float, float]] = []
    for number, cell in enumerate(cells, start=1):
        record = records.get(cell)
        if record is None or record["status"] != "finished":
            print(f"[{number}/{len(cells)}] {cell.name}", flush=True)
            record = records[cell] = _run(cell, plan, folder / cell.name)
            spent.append((record["wall_s"], weight(cell)))
            rest = [c for c in cells[number:] if records.get(c, {}).get("status") != "finished"]
            left = sum(map(weight, rest)) * sum(s for s, _ in spent) / sum(w for _, w in spent)
            shown = record["reason"] or "finished"
            print(f"    {shown} ({record['wall_s']:.0f} s; {left / 60:.0f} min left)", flush=True)
        yield record


def read_records(plan: Plan, folder: Path) -> dict[Cell, dict[str, Any]]:
    """Return the records of the cells that have ended, in the order of the plan.

    Raises
    ------
    OutputError
        When a record is damaged or of other settings.
    """
    records = {}
    for cell in plan.cells():
        record = read_record(folder / cell.name)
        if record is not None:
            if record["status"] == "finished":
                _check_settings(cell, record, plan, folder)
            records[cell] = record
    return records


def weight(cell: Cell) -> float:
    """Return about how long a cell takes, in units of a client's ticket."""
    if isinstance(cell, LongerCell):
        return cell.iterations / 800
    if isinstance(cell, PoolCell):
        return float(cell.clients)
    return 0.2 if cell.wire == PLAIN else 3.5


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record of a cell that has ended, None where there is none.

    Raises
    ------
    OutputError
        When it cannot be read.
    """
    path = folder / RECORD
    if not path.exists():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text())
        record["status"], record["cell"]
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path} is damaged: {error}; remove it") from error
    return record


def settings_of(cell: Cell, plan: Plan) -> str:
    """Return the overrides of the app that make a cell, pruning and wire of pools aside."""
    if isinstance(cell, PoolCell):
        return one_shot.settings_of(cell.clients, cell.partition, plan)
    if isinstance(cell, LongerCell):
        return one_shot.longer_settings(cell, plan)
    return many_rounds.settings_of(cell, plan)


def _check_settings(cell: Cell, record: dict[str, Any], plan: Plan, folder: Path) -> None:
    prunings = record.get("row", {}).get("prunings", plan.prunings)
    if record["settings"] != settings_of(cell, plan) or prunings != plan.prunings:
        raise OutputError(
            f"{folder / cell.name} was made with other settings: remove it or name another --folder"
        )


def _run(cell: Cell, plan: Plan, folder: Path) -> dict[str, Any]:
    """Run a cell and write its record, whatever comes of it."""
    began, computing = time.perf_counter(), time.process_time()
    earlier_s = (read_record(folder) or {}).get("core_s", 0.0)  # of an attempt that failed
    record: dict[str, Any] = {"cell": asdict(cell), "status": "finished", "reason": ""}
    try:
        if isinstance(cell, PoolCell):
            record |= one_shot.run_cell(cell, plan, folder)
        elif isinstance(cell, LongerCell):
            record |= one_shot.run_longer(cell, plan, folder)
        else:
            record |= many_rounds.run_cell(cell, plan, folder)
    except Exception as error:  # one failed cell does not end the study
        record["status"], record["reason"] = "failed", " ".join(str(error).split())
        if not isinstance(error, FlwrGanError):
            log.warning("%s", "".join(traceback.format_exception(error)))
    record["settings"] = settings_of(cell, plan)
    record["wall_s"] = round(time.perf_counter() - began, 1)
    record["core_s"] = round(earlier_s + time.process_time() - computing, 1)
    record["date"] = datetime.now(UTC).date().isoformat()
    write_text(folder / RECORD, json.dumps(record, indent=1) + "\n")
    return record
