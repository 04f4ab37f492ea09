"""A grid whose clients run in parallel processes of this machine, without Ray.

Workers are forked from the process that holds the app: they start in milliseconds, while a new
interpreter needs seconds to import torch; they share the loaded data; and the app need not be
pickled. A fork is unsafe if a worker uses threads of its parent, because only their locks are
copied. So the first workers are forked before the server app begins, and each computes with one
thread, so that neither OpenMP nor BLAS waits for a thread pool. One thread also makes results equal
to those of one process bit for bit, and avoids oversubscribed cores.
"""

import multiprocessing
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from flwr_gan.engine.inline_grid import InlineGrid, failure_reason
from flwr_gan.errors import ConfigError, TrainingError
from flwr_gan.flower.flwr_private import ClientAppCallable

R = TypeVar("R")
Answer = tuple[Message, RecordDict, float] | str
DYING_S = 0.1


class WorkerPool:
    """Run a client app in worker processes.

    Messages and states are sent to a worker and back through pipes, pickled by ``multiprocessing``:
    both ends are this program. If a worker is killed, its client fails, and another worker is
    forked. Raises ``ConfigError`` if processes cannot be forked.
    """

    def __init__(self, client_app: ClientAppCallable, *, workers: int) -> None:
        if sys.platform != "linux":
            raise ConfigError("--backend processes needs Linux: use --backend inline or ray")
        self._client_app = client_app
        self._workers: set[_Worker] = set()
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()
        for _ in range(workers):
            self._fork()
        self._threads = ThreadPoolExecutor(workers, "flwr_gan-worker")

    def timed(self, message: Message, context: Context) -> tuple[Message, float]:
        """Run the app in the next free worker; this thread waits. Also return the CPU seconds.

        Raises ``TrainingError`` when the client failed; the text says why.
        """
        worker = self._idle.get()
        try:
            answer = worker.ask(message, context)
        except (EOFError, OSError) as error:
            raise TrainingError(worker.end()) from error
        finally:  # also after Ctrl-C: the worker's result is then not needed
            self._put_back(worker)
        if isinstance(answer, str):
            raise TrainingError(answer)
        reply, context.state, seconds = answer
        return reply, seconds

    def run_jobs(self, jobs: Sequence[Callable[[], R]]) -> list[R]:
        """Call jobs that call this pool, each in a thread; return their results."""
        if len(jobs) == 1:
            return [jobs[0]()]
        try:
            return list(self._threads.map(lambda job: job(), jobs))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all workers; those that run a client are killed."""
        with self._lock:
            self._closed = True
            for worker in self._workers:
                worker.end()
        self._threads.shutdown(cancel_futures=True)

    def _fork(self) -> None:
        worker = _Worker(self._client_app, [other.pipe for other in self._workers])
        self._workers.add(worker)
        self._idle.put(worker)

    def _put_back(self, worker: "_Worker") -> None:
        """Release a worker for the next client, or replace it if it cannot continue."""
        with self._lock:
            if worker.asked or not worker.alive:
                worker.end()
                self._workers.discard(worker)
                if not self._closed:
                    self._fork()
                    return
            self._idle.put(worker)  # also a closed one, so that no thread waits forever


class ProcessesGrid(InlineGrid):
    """Deliver messages to worker processes; replies, states and errors are those of ``InlineGrid``.

    Messages to different nodes that are pushed together, or by different threads, are delivered in
    parallel, to as many clients at once as there are ``workers``.
    """

    def __init__(self, client_app: ClientApp, *, workers: int, **settings: Any) -> None:
        super().__init__(client_app, run_together=self.run_jobs, **settings)
        self.pool = WorkerPool(client_app, workers=workers)
        self._turn = nullcontext()
        self._largest_group = settings["num_supernodes"]

    def _timed(self, message: Message, context: Context) -> tuple[Message, float]:
        return self.pool.timed(message, context)

    def run_jobs(self, jobs: Sequence[Callable[[], R]]) -> list[R]:
        """Call jobs in parallel; return their results in order."""
        return self.pool.run_jobs(jobs)

    def close(self) -> None:
        """End the workers and forget the states of all nodes."""
        self.pool.close()
        super().close()


class _Worker:
    """One process and this end of its pipe."""

    def __init__(self, client_app: ClientAppCallable, other_pipes: Sequence[Connection]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        inherited = [self.pipe, *other_pipes]  # while open in a worker, others see them as open
        self._process: BaseProcess = context.Process(
            target=_serve, args=(client_app, theirs, inherited), name="flwr_gan-worker"
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of any fork beside threads; see above why this one is safe.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()
        self.asked = False
        self._ending = threading.Lock()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.exitcode is None

    def ask(self, message: Message, context: Context) -> Answer:
        """Return reply and state, or why the client failed."""
        self.asked = True
        self.pipe.send((message, context))
        answer: Answer = self.pipe.recv()
        self.asked = False
        return answer

    def end(self) -> str:
        """End the process, immediately if it runs a client; return how it ended."""
        with self._ending:  # of two threads that wait for a process, only one gets its status
            if self.asked:
                self._process.join(DYING_S)  # a process that ends by itself keeps its own status
                self._process.kill()
            else:
                self.pipe.close()
            self._process.join()
        code = self._process.exitcode
        how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with status {code}"
        return (
            f"its worker process was ended {how}; if memory is short, lower workers in "
            "--backend-config"
        )


def _serve(
    client_app: ClientAppCallable, pipe: Connection, inherited: Sequence[Connection]
) -> None:
    """Run clients until the other end of the pipe is closed."""
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends workers
    _begin_alone()
    while True:
        try:
            message, context = pipe.recv()
        except EOFError:
            return
        answer: Answer
        try:
            begun = time.process_time()
            reply = client_app(message, context)
            answer = reply, context.state, time.process_time() - begun
        except (Exception, SystemExit) as error:
            answer = failure_reason(error, context.node_id)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            pipe.send(answer)
        except BrokenPipeError:
            return
        except Exception as error:  # a record holds what cannot be pickled
            pipe.send(f"its reply cannot be sent: {failure_reason(error, context.node_id)}")


def _begin_alone() -> None:
    """Compute with one thread; reseed the global generators, which all workers inherit."""
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:  # flwr, numpy and zstandard alone: nothing was computed before the fork
        pass
    else:
        threadpool_limits(1)
    random.seed()
    np.random.seed()  # noqa: NPY002
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.seed()
