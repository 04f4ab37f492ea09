"""An in-process grid: virtual clients without Ray, one after another or a few side by side."""

import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from logging import getLogger

from flwr.app import Context, Message, RecordDict
from flwr.app.error import Error
from flwr.app.user_config import UserConfig
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from flwr_gan.engine.jobs import hand_in
from flwr_gan.errors import ConfigError, FlwrGanError
from flwr_gan.flower.records import copy_content

log = getLogger(__name__)


@dataclass
class Post:
    """Messages that are pushed together; their ids come with the delivery."""

    messages: Iterable[Message]
    message_ids: list[str] = field(default_factory=list)


class InlineGrid(Grid):
    """Deliver messages by calling the client app in this process.

    Node ``i + 1`` holds partition ``i``. Each node's context, and with it ``context.state``, is
    made when its first message arrives and lives as long as the grid. An exception in a client
    becomes an error reply, as in deployment. What jobs of ``run_in_turns`` push is handed in there
    as a ``Post``, for ``deliver``.

    Parameters
    ----------
    client_app : flwr.clientapp.ClientApp
        The app of every client.
    num_supernodes : int
        Number of virtual clients.
    run_config : mapping
        Flower's run config, for the contexts.
    on_reply : callable, optional
        Called with each message and its reply.
    clients_at_once : int
        Messages that are delivered side by side, so that their clients train in one program.

    Raises
    ------
    ConfigError
        If ``clients_at_once`` is below 1.
    """

    def __init__(
        self,
        client_app: ClientApp,
        *,
        num_supernodes: int,
        run_config: Mapping[str, bool | float | int | str],
        run: Run,
        on_reply: Callable[[Message, Message], None] | None = None,
        clients_at_once: int = 1,
    ) -> None:
        if clients_at_once < 1:
            raise ConfigError(f"clients_at_once={clients_at_once}: allowed is 1 or more")
        self._client_app = client_app
        self._num_supernodes = num_supernodes
        self._run_config = dict(run_config)
        self._run = run
        # Flower's messages take their sender and run from here, in deployment and in this process.
        TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run.run_id, 1
        self._on_reply = on_reply
        self.clients_at_once = clients_at_once
        self._contexts: dict[int, Context] = {}
        self._replies: dict[str, Message] = {}
        self._ids = count(1)
        self._lock = threading.RLock()

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
        return range(1, self._num_supernodes + 1)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Deliver messages and keep the replies; returns the messages' ids."""
        post = Post(messages)
        if not hand_in(post):
            self.deliver([post])
        return post.message_ids

    def deliver(self, posts: Iterable[Post]) -> None:
        """Deliver all messages of some posts, in groups, and keep the replies."""
        sent = ((post, message) for post in posts for message in post.messages)
        while group := list(islice(sent, self.clients_at_once)):
            with self._lock:
                message_ids = self._deliver_group([message for _, message in group])
            for (post, _), message_id in zip(group, message_ids, strict=True):
                post.message_ids.append(message_id)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies to these messages, each once."""
        return [self._replies.pop(i) for i in message_ids if i in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Deliver messages and return the replies; `timeout` has no meaning in one process."""
        return self.pull_messages(self.push_messages(messages))

    def _context(self, node_id: int) -> Context:
        if node_id not in self._contexts:
            node_config: UserConfig = {
                "partition-id": node_id - 1,
                "num-partitions": self._num_supernodes,
            }
            self._contexts[node_id] = Context(
                run_id=self._run.run_id,
                node_id=node_id,
                node_config=node_config,
                state=RecordDict(),
                run_config=dict(self._run_config),
            )
        return self._contexts[node_id]

    def _deliver_group(self, messages: list[Message]) -> list[str]:
        """Deliver messages side by side and keep the replies; returns the messages' ids."""
        ids = [(str(next(self._ids)), str(next(self._ids))) for _ in messages]
        for message, (message_id, _) in zip(messages, ids, strict=True):
            message.metadata.__dict__["_message_id"] = message_id
        jobs = [partial(self._deliver, message) for message in messages]
        replies = [jobs[0]()] if len(jobs) == 1 else _run_together(jobs)
        for message, reply, (message_id, reply_id) in zip(messages, replies, ids, strict=True):
            reply.metadata.__dict__["_message_id"] = reply_id
            if self._on_reply is not None:
                self._on_reply(message, reply)
            self._replies[message_id] = reply
        return [message_id for message_id, _ in ids]

    def _deliver(self, message: Message) -> Message:
        node_id = message.metadata.dst_node_id
        received = Message(metadata=message.metadata, content=copy_content(message.content))  # type: ignore[call-overload]
        try:
            if node_id not in self.get_node_ids():
                raise ValueError(f"there is no node {node_id}")
            reply = self._client_app(received, self._context(node_id))
        except Exception as error:
            log.debug("node %d failed:\n%s", node_id, traceback.format_exc())
            reason = (
                str(error)
                if isinstance(error, FlwrGanError)
                else f"{type(error).__name__}: {error}"
            )
            code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
            reply = Message(Error(code, f"partition {node_id - 1}: {reason}"), reply_to=received)
        return reply


def _run_together(jobs: Sequence[Callable[[], Message]]) -> list[Message]:
    from flwr_gan.app.together import run_together  # torch, which not every app needs

    return run_together(jobs, at_once=len(jobs))
