"""An in-process grid: virtual clients without Ray, one after another or a few in turns."""

import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from logging import getLogger
from typing import Any, TypeVar

from flwr.app import Array, Context, Error, Message, RecordDict
from flwr.serverapp import Grid

from flwr_gan.core.settings import Count, checked
from flwr_gan.engine.node_states import node_states
from flwr_gan.errors import FlwrGanError
from flwr_gan.flower.flwr_private import (
    FIRST_NODE_ID,
    ClientAppCallable,
    ErrorCode,
    Run,
    own_message,
    set_message_id,
    take_task_identity,
)
from flwr_gan.flower.records import copy_content

log = getLogger(__name__)

R = TypeVar("R")
STATE_MEMORY_MB = 1024


RunTogether = Callable[[Sequence[Callable[[], Message]]], list[Message]]
"""Calls jobs, such as ``flwr_gan.app.together.run_together``; returns their results in order."""


def one_by_one(jobs: Sequence[Callable[[], R]]) -> list[R]:
    """Call all jobs one after the other and return their results."""
    return [job() for job in jobs]


class _Here(threading.local):
    wait_for: Callable[[object], None] | None = None


here = _Here()
"""``wait_for`` waits until a request is served, if this thread runs a job."""


def submit(request: object) -> bool:
    """Wait until a request is served, and return True; False at once outside a job."""
    if here.wait_for is None:
        return False
    here.wait_for(request)
    return True


@dataclass
class Post:
    """Messages that are pushed together; their ids come with the delivery."""

    messages: Iterable[Message]
    message_ids: list[str] = field(default_factory=list)


class InlineGrid(Grid):
    """Deliver messages by calling the client app in this process.

    Nodes have the ids 2, 3, ..., in the order of their partitions, as Flower keeps 1 for its
    SuperLink. A node's ``context.state`` is empty at its first message and lives until ``close``.
    An exception in a client becomes an error reply and leaves the state as it was before the
    message, as in deployment. ``on_reply`` is called with each message and its reply.

    ``run_together`` delivers ``clients_at_once`` messages to different nodes at a time. Messages
    pushed by jobs are submitted as a ``Post``, for ``deliver``; see ``submit``. ``compute_s`` are
    the seconds of the last call of each partition. States of more than ``state_memory_mb`` in total
    are moved to disk, see ``node_states``.
    """

    def __init__(
        self,
        client_app: ClientAppCallable,
        *,
        num_supernodes: int,
        run_config: Mapping[str, bool | float | int | str],
        run: Run,
        on_reply: Callable[[Message, Message], None] | None = None,
        clients_at_once: int = 1,
        run_together: RunTogether = one_by_one,
        state_memory_mb: float = STATE_MEMORY_MB,
    ) -> None:
        checked("clients_at_once", clients_at_once, Count)
        self._client_app = client_app
        self._run_config = dict(run_config)
        self._run = run
        self._node_ids = range(FIRST_NODE_ID, FIRST_NODE_ID + num_supernodes)
        take_task_identity(run.run_id)
        self._on_reply = on_reply
        self.clients_at_once = clients_at_once
        self._run_together = run_together
        self.states = node_states(int(state_memory_mb * 2**20))
        self._replies: dict[str, Message] = {}
        self._ids = count(1)
        self._lock = threading.RLock()
        self._turn: AbstractContextManager[object] = self._lock  # of one group after another
        self._largest_group = clients_at_once
        self.compute_s: dict[int, float] = {}

    def set_run(self, run: Run) -> None:
        """Set the run."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that this grid serves."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message from the server to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of all nodes."""
        return self._node_ids

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver messages and keep the replies; returns the messages' ids."""
        post = Post(messages)
        if not submit(post):
            self.deliver([post])
        return post.message_ids

    def deliver(self, posts: Iterable[Post]) -> None:
        """Deliver all messages of some posts, in groups, and keep the replies."""
        sent = [(post, message) for post in posts for message in post.messages]
        for group in self._groups(sent):
            with self._turn:
                message_ids = self._deliver_group([message for _, message in group])
            for (post, _), message_id in zip(group, message_ids, strict=True):
                post.message_ids.append(message_id)

    def _groups(self, sent: list[tuple[Post, Message]]) -> Iterator[list[tuple[Post, Message]]]:
        """Yield messages in groups of a largest size; a node's second begins a new one."""
        group: list[tuple[Post, Message]] = []
        nodes: set[int] = set()
        for post, message in sent:
            node_id = message.metadata.dst_node_id
            if len(group) == self._largest_group or node_id in nodes:
                yield group
                group, nodes = [], set()
            group.append((post, message))
            nodes.add(node_id)
        if group:
            yield group

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies to these messages, each once."""
        return [self._replies.pop(i) for i in message_ids if i in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Deliver messages and return the replies; `timeout` has no meaning in one process."""
        return self.pull_messages(self.push_messages(messages))

    def run_jobs(self, jobs: Sequence[Callable[[], R]]) -> list[R]:
        """Call jobs that each deliver to one client; return their results in order."""
        return one_by_one(jobs)

    def close(self) -> None:
        """Forget the states of all nodes."""
        self.states.close()

    def _deliver_group(self, messages: list[Message]) -> list[str]:
        """Deliver messages in parallel and keep the replies; return the messages' ids."""
        ids = [(str(next(self._ids)), str(next(self._ids))) for _ in messages]
        for message, (message_id, _) in zip(messages, ids, strict=True):
            set_message_id(message, message_id)
        jobs = [partial(self._deliver, message) for message in messages]
        replies = self._run_together(jobs)
        for message, reply, (message_id, reply_id) in zip(messages, replies, ids, strict=True):
            set_message_id(reply, reply_id)
            if self._on_reply is not None:
                with self._lock:
                    self._on_reply(message, reply)
            self._replies[message_id] = reply
        return [message_id for message_id, _ in ids]

    def _deliver(self, message: Message) -> Message:
        node_id = message.metadata.dst_node_id
        partition = node_id - FIRST_NODE_ID
        received = own_message(message, _copied(message.content))
        try:
            if node_id not in self._node_ids:
                raise ValueError(f"there is no node {node_id}")
            context = self._context(node_id, partition)
            reply, self.compute_s[partition] = self._timed(received, context)
            if context.state:
                self.states.put(node_id, context.state)
            else:
                self.states.drop(node_id)
        except (Exception, SystemExit) as error:
            reason = f"partition {partition}: {failure_reason(error, node_id)}"
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=received)
        return reply

    def _timed(self, message: Message, context: Context) -> tuple[Message, float]:
        """Call the app; return its reply and the seconds it took."""
        begun = time.perf_counter()
        return self._client_app(message, context), time.perf_counter() - begun

    def _context(self, node_id: int, partition: int) -> Context:
        """Return a node's context for one call; its state is dropped unless the call returns."""
        return Context(
            run_id=self._run.run_id,
            node_id=node_id,
            node_config={"partition-id": partition, "num-partitions": len(self._node_ids)},
            state=_copied(self.states.get(node_id) or RecordDict()),
            run_config=dict(self._run_config),
        )


def failure_reason(error: BaseException, node_id: int) -> str:
    """Return why a client failed, as text for the error reply; log the traceback."""
    log.debug("node %d failed:\n%s", node_id, "".join(traceback.format_exception(error)))
    return str(error) if isinstance(error, FlwrGanError) else f"{type(error).__name__}: {error}"


def _copied(content: RecordDict) -> RecordDict:
    """Return new records with the same bytes and numbers, which are immutable."""
    copied = copy_content(content)
    for record in copied.values():
        values: MutableMapping[str, Any] = record
        for key, value in record.items():
            if isinstance(value, Array):
                values[key] = _own_array(value)
            elif isinstance(value, list):
                values[key] = value.copy()
    return copied


def _own_array(array: Array) -> Array:
    """Return another array around the same bytes."""
    own = Array.__new__(type(array))
    vars(own).update(vars(array))
    return own
