"""Cases of a study: each is measured once, and its result is kept in its own folder."""

import json
import os
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
from tqdm import tqdm

from flwr_gan.core.atomic import write_text
from flwr_gan.errors import ConfigError, FlwrGanError, OutputError
from flwr_gan.gan import torch_threads

CASE, RESULT = "case.json", "result.json"


class StudyCase(ABC):
    """One part of a study: a frozen dataclass whose fields define the run."""

    columns: ClassVar[tuple[str, ...]] = ("seed",)
    """Fields that identify a case, as columns of tables; the seed is one of them."""
    title: ClassVar[str]
    """The name of its folder, with fields in braces; see ``name``."""

    @property
    def place(self) -> Mapping[str, Any]:
        """The case as columns."""
        return {name: getattr(self, name) for name in self.columns}

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""
        return 100.0

    @property
    def needs(self) -> str:
        """Name of the case whose files it reads, empty if there is none."""
        return ""

    @property
    def name(self) -> str:
        """Name of its folder, without characters that a path or an override cannot contain."""
        text = self.title.format(**vars(self))
        return text.replace(", ", "-").replace(" ", "_").replace(":", ".")

    @property
    @abstractmethod
    def settings(self) -> Mapping[str, Any]:
        """All that its result depends on."""

    @abstractmethod
    def measure(self, folder: Path) -> dict[str, Any]:
        """Return values that JSON can hold; work whose files are in the folder may be skipped."""


@dataclass(frozen=True)
class Record:
    """The record of a case that has ended."""

    case: Any  # the case
    folder: Path  # folder of the case
    result: Mapping[str, Any]  # measured values; empty if it failed
    reason: str  # why it failed, empty if it did not
    cpu_s: float  # processor seconds, failed attempts included
    date: str  # when it ended

    @property
    def row(self) -> dict[str, Any]:
        """The columns that identify the case, then the measured single values."""
        single = {k: v for k, v in self.result.items() if not isinstance(v, list | dict)}
        return {**self.case.place, **single, "cpu_s": self.cpu_s}

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a measured table; the columns of the case come first."""
        for row in self.result.get(name, ()):
            yield {**self.case.place, **row}


def all_rows(records: Sequence[Record], name: str) -> pd.DataFrame:
    """Return the rows of a table from all cases; the columns of the case come first."""
    return pd.DataFrame([row for record in records for row in record.rows(name)])


def read_record(case: StudyCase, folder: Path) -> Record | None:
    """Return the record of a case in the folder of a study, None if it has not ended."""
    path = folder / case.name / RESULT
    if not path.exists():
        return None
    try:
        return Record(case, path.parent, **json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"cannot read {path}: {error}; remove it and run again") from error


def run_cases(
    cases: Sequence[StudyCase], folder: Path, *, workers: int = 1, shown: Sequence[str] = ()
) -> int:
    """Measure the unfinished cases; return the number of cases that failed.

    Each case has a folder in ``folder``; ``workers`` are processes with one thread each; ``shown``
    names the values that are shown when a case ends.
    """
    for case in cases:
        claim(case, folder)
    left = [case for case in cases if (read_record(case, folder) or _FAILED).reason]
    total = sum(case.work_s for case in left)
    print(
        f"{len(left)} of {len(cases)} runs to do, about {total / 60:.0f} core-minutes", flush=True
    )
    failed, done, began = 0, 0.0, time.monotonic()
    with tqdm(total=len(left), unit="run", disable=None) as bar:
        for count, record in enumerate(_run(left, folder, workers), start=1):
            failed += bool(record.reason)
            done += record.case.work_s
            minutes = (time.monotonic() - began) / done * (total - done) / 60
            values = ", ".join(
                f"{name} {_short(record.result[name])}" for name in shown if name in record.result
            )
            text = f"failed: {record.reason}" if record.reason else f"{values}, finished"
            bar.write(
                f"{count}/{len(left)} {record.case.name}: {text.removeprefix(', ')}; "
                f"about {minutes:.0f} min left"
            )
            bar.update()
    return failed


def run_case(case: StudyCase, folder: Path) -> Record:
    """Measure one case and keep the record, even if it fails."""
    earlier = read_record(case, folder)
    place, began = folder / case.name, time.process_time()
    result: dict[str, Any] = {}
    reason = ""
    try:
        with torch_threads(1):
            result = case.measure(place)
    except Exception as error:  # a failed case must not stop the others
        reason = short_reason(error)
        if not isinstance(error, FlwrGanError):
            write_text(place / "error.txt", "".join(traceback.format_exception(error)))
    spent = time.process_time() - began + (earlier.cpu_s if earlier else 0.0)
    date = datetime.now(UTC).date().isoformat()
    record = Record(case, place, result, reason, spent, date)
    kept = {name: getattr(record, name) for name in ("result", "reason", "cpu_s", "date")}
    write_text(place / RESULT, json.dumps(kept, indent=1) + "\n")
    return record


def short_reason(error: Exception) -> str:
    """Return the message of an error; for an unexpected one also its type and line."""
    text = " ".join(str(error).split())
    if isinstance(error, FlwrGanError):
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}, line {last.lineno})"


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one level of keys such as ``gan.iterations``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= flat_settings(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def claim(case: StudyCase, folder: Path, *, keep: bool = True) -> None:
    """Claim a folder for a case; with ``keep=False`` only check that no other case has it."""
    path, now = folder / case.name / CASE, json.loads(json.dumps(case.settings))
    earlier = _read_claim(path)
    if earlier is None and keep:
        write_text(path, json.dumps(now, indent=1) + "\n")
    elif earlier not in (None, now):
        before, after = map(flat_settings, (earlier, now))
        key = next(key for key in {**before, **after} if before.get(key) != after.get(key))
        raise ConfigError(
            f"{path.parent} holds results of other settings ({key} was {before.get(key)} and is "
            f"{after.get(key)}): choose another --folder or sweep_dir"
        )


def _read_claim(path: Path) -> Any:
    """Return the settings that have claimed a folder, None if it is free."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot read {path}: {error}; remove it") from error


def _run(cases: Sequence[StudyCase], folder: Path, workers: int) -> Iterator[Record]:
    if workers == 1:
        yield from (run_case(case, folder) for case in cases)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_end_with_parent) as pool:
        waiting, running = list(cases), dict[Future[Record], StudyCase]()
        try:
            while waiting or running:
                unfinished = {case.name for case in (*waiting, *running.values())}
                for case in [case for case in waiting if case.needs not in unfinished]:
                    waiting.remove(case)
                    running[pool.submit(run_case, case, folder)] = case
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    del running[future]
                    yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """End a worker when the study is killed, so that it does not write beside the next study."""

    def watch() -> None:
        if parent := parent_process():
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_FAILED = Record(None, Path(), {}, "not run", 0.0, "")
