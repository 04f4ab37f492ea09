"""Nodes that come and go in this process, each with a config of its own, as real ones do."""

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from flwr.app import Context, Error, Message, RecordDict
from flwr.serverapp import Grid

from flwr_gan.client_app import app as client_app
from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.flower.flwr_private import ErrorCode, Run, set_message_id
from flwr_gan.server_app import app as server_app


class _Delivery(InlineGrid):
    """Delivers to nodes with these configs."""

    def __init__(self, configs: Mapping[int, Mapping[str, Any]], **settings: Any) -> None:
        super().__init__(client_app, num_supernodes=0, **settings)
        self._node_ids = configs

    def _context(self, node_id: int, partition: int) -> Context:
        context = super()._context(node_id, partition)
        context.node_config.clear()
        context.node_config.update(self._node_ids[node_id])
        return context


class LooseGrid(Grid):
    """A grid whose `configs` of nodes change while it is used.

    Nodes in `silent` receive and never answer; a message to them, or to one that has gone, ends
    with an error where the caller waits for it. `on_message` sees each message before its node, and
    `answer` may be replaced by what answers in place of nodes.
    """

    def __init__(self, overrides: str, configs: Mapping[int, Mapping[str, Any]]) -> None:
        self.configs = {node: dict(config) for node, config in configs.items()}
        self.silent: set[int] = set()
        self.on_message: Callable[[Message], None] = lambda message: None
        self.run_config = {"overrides": overrides}
        self.answer = self._answer
        self._replies: dict[str, Message] = {}
        self._ids = count(1)
        self._run = Run.create_empty(run_id=1)
        self._inner = _Delivery(self.configs, run_config=self.run_config, run=self._run)

    def serve(self) -> None:
        """Run the server app to its end."""
        context = Context(
            run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=self.run_config
        )
        server_app(self, context)

    def wipe(self, node: int) -> None:
        """Let a node forget its state, as one does that starts again."""
        self._inner.states[node] = RecordDict()

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(self, *arguments: Any, **settings: Any) -> Message:
        return self._inner.create_message(*arguments, **settings)

    def get_node_ids(self) -> Iterable[int]:
        return list(self.configs)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return [self._push(message) for message in messages]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._replies.pop(i) for i in message_ids if i in self._replies]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        replies = []
        for message in messages:
            error = Error(ErrorCode.NODE_UNAVAILABLE, "the node is not there")
            found = self.pull_messages([self._push(message)])
            replies += found or [Message(error, reply_to=message)]
        return replies

    def _push(self, message: Message) -> str:
        self.on_message(message)
        message_id = f"message {next(self._ids)}"
        set_message_id(message, message_id)
        node = message.metadata.dst_node_id
        if node not in self.silent and node in self.configs:
            reply = self.answer(message)
            message_id = message.metadata.message_id  # the delivery may have given it another
            self._replies[message_id] = reply
        return message_id

    def _answer(self, message: Message) -> Message:
        """Deliver a message; return the node's reply."""
        (reply,) = self._inner.send_and_receive([message])
        return reply
