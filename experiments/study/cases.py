"""Cases of a study: each is measured once in a folder of its own, and its result kept there."""

import json
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from flwr_gan.core.atomic import write_text
from flwr_gan.errors import ConfigError, FlwrGanError, OutputError
from flwr_gan.gan import torch_threads

CASE, RESULT = "case.json", "result.json"


class Case(Protocol):
    """One part of a study."""

    @property
    def name(self) -> str:
        """What its folder is called."""

    @property
    def place(self) -> Mapping[str, Any]:
        """What it is, as columns of tables; the seed among them."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All that its result depends on."""

    @property
    def work_s(self) -> float:
        """Roughly how many processor seconds it takes."""

    def measure(self, folder: Path) -> dict[str, Any]:
        """Do the work and return the result, values that JSON can hold.

        Called again in the same folder after an interruption: what was kept there need not be done
        again.
        """


@dataclass(frozen=True)
class Record:
    """What a case has left.

    Parameters
    ----------
    case : Case
        Which.
    folder : Path
        Its own.
    result : mapping
        What it has measured; empty if it failed.
    reason : str
        Why it failed, empty if it did not.
    cpu_s : float
        Processor seconds, failed attempts included.
    date : str
        When it ended.
    """

    case: Any
    folder: Path
    result: Mapping[str, Any]
    reason: str
    cpu_s: float
    date: str

    @property
    def row(self) -> dict[str, Any]:
        """The single values that were measured, behind those that tell the case from others."""
        single = {k: v for k, v in self.result.items() if not isinstance(v, list | dict)}
        return {**self.case.place, **single, "cpu_s": self.cpu_s}

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a table that was measured, each behind the case's place."""
        for row in self.result.get(name, ()):
            yield {**self.case.place, **row}


def read_record(case: Case, folder: Path) -> Record | None:
    """Return the record of a case in the folder of a study, None where it has not ended.

    Raises
    ------
    OutputError
        When the file is damaged.
    """
    path = folder / case.name / RESULT
    if not path.exists():
        return None
    try:
        return Record(case, path.parent, **json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise OutputError(f"cannot read {path}: {error}; remove it and run again") from error


def run_cases(
    cases: Sequence[Case], folder: Path, *, workers: int = 1, shown: Sequence[str] = ()
) -> int:
    """Measure what is not finished; return the number of cases that failed.

    Parameters
    ----------
    cases : sequence of Case
        In the order in which they are run.
    folder : Path
        Each case has a folder in it.
    workers : int
        Processes, each with one thread.
    shown : sequence of str
        Single values of a result that are shown when a case ends.

    Raises
    ------
    ConfigError
        When the folder holds results of other settings.
    """
    for case in cases:
        _claim(case, folder)
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


def run_case(case: Case, folder: Path) -> Record:
    """Measure one case, whatever comes of it, and keep the record."""
    earlier = read_record(case, folder)
    place, began = folder / case.name, time.process_time()
    result: dict[str, Any] = {}
    reason = ""
    try:
        with torch_threads(1):
            result = case.measure(place)
    except Exception as error:  # one case must not take the others with it
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
    """Return what an error says, and the kind and line of one that is not expected."""
    text = " ".join(str(error).split())
    if isinstance(error, FlwrGanError):
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {text} ({Path(last.filename).name}, line {last.lineno})"


def _claim(case: Case, folder: Path) -> None:
    path, text = folder / case.name / CASE, json.dumps(case.settings, indent=1) + "\n"
    if not path.exists():
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{path.parent} holds results of other settings: choose another --folder")


def _run(cases: Sequence[Case], folder: Path, workers: int) -> Iterator[Record]:
    if workers == 1:
        yield from (run_case(case, folder) for case in cases)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_case, case, folder) for case in cases]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_FAILED = Record(None, Path(), {}, "not run", 0.0, "")
