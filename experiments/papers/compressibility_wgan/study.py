"""Runs the cells of the study side by side, with one progress bar for all of them."""

import logging
import multiprocessing
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from queue import Empty, Queue

from tqdm import tqdm

from experiments.papers.compressibility_wgan.cell import Cell
from experiments.papers.compressibility_wgan.coding import code_generators, count_codings
from experiments.papers.compressibility_wgan.scoring import count_scorings, score_generators
from experiments.papers.compressibility_wgan.training import count_trainings, find_generators
from flwr_gan.errors import ConfigError, FlwrGanError
from flwr_gan.gan import torch_threads

# Roughly what a training, a score and a coding take, so that the estimate of the bar is fair.
TRAINING, SCORING, CODING = 100, 8, 1
_POLL_S = 0.5


def run_cells(cells: Sequence[Cell], *, workers: int) -> int:
    """Do what is not done yet; return the number of cells that failed.

    Parameters
    ----------
    cells : sequence of Cell
        Parts of the study; each writes to its own folder.
    workers : int
        Processes, each with one thread.

    Raises
    ------
    ConfigError
        If ``workers`` is below 1, or a folder holds results of other settings.
    """
    if workers < 1:
        raise ConfigError(f"--workers={workers} is not allowed: give at least 1")
    for cell in cells:
        cell.claim()
    failed = 0
    with (
        multiprocessing.Manager() as manager,
        ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool,
        tqdm(total=sum(map(work, cells)), desc="study", unit="step", disable=None) as bar,
    ):
        steps: Queue[int] = manager.Queue()
        waiting: dict[Future[str | None], Cell] = {
            pool.submit(run_cell, cell, steps): cell for cell in cells
        }
        try:
            while waiting:
                done, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                bar.update(_drain(steps))
                for future in done:
                    cell = waiting.pop(future)
                    problem = future.result()
                    failed += problem is not None
                    bar.write(f"{cell.name}: {problem or 'finished'}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def run_cell(cell: Cell, steps: "Queue[int]") -> str | None:
    """Train, code and score one cell; return what went wrong, None where nothing did."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    try:
        with torch_threads(1):
            for weight in cell_steps(cell):
                steps.put(weight)
    except FlwrGanError as error:
        return f"failed: {error}"
    except Exception:  # a bug in one part must not take the others with it
        return f"failed: {traceback.format_exc()}"
    return None


def cell_steps(cell: Cell) -> Iterator[int]:
    """Do all of one cell; yield the weight of each step once it is done."""
    for _ in find_generators(cell):
        yield TRAINING
    for _ in code_generators(cell):
        yield CODING
    for _ in score_generators(cell):
        yield SCORING


def work(cell: Cell) -> int:
    """Return the sum of what ``cell_steps`` yields."""
    return (
        TRAINING * count_trainings(cell)
        + CODING * count_codings(cell)
        + SCORING * count_scorings(cell)
    )


def _drain(steps: "Queue[int]") -> int:
    done = 0
    while True:
        try:
            done += steps.get_nowait()
        except Empty:
            return done
