"""Jobs that take turns: each has a thread, and one thread runs at a time.

A job runs until it submits a request or ends; then the next job runs, in order. When all have
stopped, the main thread serves the requests and continues the jobs. So nothing is concurrent, no
job has to be thread-safe, and the scheduling of threads does not matter.
"""

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch

from flwr_gan.engine.inline_grid import here
from flwr_gan.gan import torch_threads

T = TypeVar("T")


def run_in_turns(
    works: Sequence[Callable[[], T]], *, serve: Callable[[list[Any]], None]
) -> list[T]:
    """Run jobs in turns; return their results in order.

    An error of a job is raised here when all have ended; of several errors, the first job's.
    `serve` takes the submitted requests, in the order of the jobs. It is called in this thread,
    each time that all running jobs wait.
    """
    with torch_threads(torch.get_num_threads()):
        jobs = [_Job(work) for work in works]
        try:
            while living := [job for job in jobs if not job.ended]:
                for job in living:
                    job.go_on()
                serve([job.request for job in living if not job.ended])
        finally:
            for job in jobs:
                job.leave()
    return [job.result() for job in jobs]


class _Abandoned(SystemExit):
    """Ends a job whose result is no longer needed; its thread prints nothing."""


class _Job(Generic[T]):
    """A job and its thread."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        # A process can end without waiting for a daemon thread.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._threads = torch.get_num_threads()
        self._running = self._abandoned = self.ended = False
        self._results: list[T] = []
        self._failure: BaseException | None = None
        self.request: object = None

    def go_on(self) -> None:
        """Let the job run until it submits a request or ends."""
        self._running = True
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        self._stopped.acquire()
        self._running = False
        if self._failure is not None and not isinstance(self._failure, Exception):
            raise self._failure

    def wait_for(self, request: object) -> None:
        """Submit a request in the job's own thread, and wait for the next turn."""
        threads = torch.get_num_threads()
        self.request = request
        self._stopped.release()
        self._go.acquire()
        self.request = None
        if self._abandoned:
            raise _Abandoned
        torch.set_num_threads(threads)  # other jobs have changed it meanwhile

    def result(self) -> T:
        """Return the job's result, or raise its error."""
        if self._failure is not None:
            raise self._failure
        return self._results[0]

    def leave(self) -> None:
        """Wait for the job's thread; a job that has not ended is interrupted as by Ctrl-C."""
        if self._thread.ident is None:
            return
        if not self.ended:
            self._abandoned = True
            if self._running:
                ident, error = ctypes.c_ulong(self._thread.ident), ctypes.py_object(_Abandoned)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
            self._go.release()
        self._thread.join()

    def _run(self) -> None:
        self._go.acquire()
        try:
            here.wait_for = self.wait_for
            torch.set_num_threads(self._threads)
            self._results.append(self._work())
        except BaseException as error:  # raised in the waiting thread
            self._failure = error
        finally:
            self.ended = True
            self._stopped.release()
