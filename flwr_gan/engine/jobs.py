"""What a job of ``run_in_turns`` says to it, for those who may run in one and need not know."""

import threading
from typing import Protocol


class Job(Protocol):
    """A job that can be made to wait."""

    def wait_for(self, request: object) -> None:
        """Wait until a request is served."""


class _Here(threading.local):
    job: Job | None = None


here = _Here()
"""``job`` is the job that this thread runs, if it runs one."""


def submit(request: object) -> bool:
    """Wait until a request is served, and return True; False at once outside a job."""
    if here.job is None:
        return False
    here.job.wait_for(request)
    return True
