"""Real nodes: before training, the server asks each node who it is and sends the run's settings.

On real machines a node may have its own data, connect late, or have a wrong ``partition-id``.
Flower's simulations create their nodes themselves, so no question is needed there.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from flwr_gan.errors import ConfigError, FlwrGanError
from flwr_gan.flower.flwr_private import ClientAppCallable

if TYPE_CHECKING:
    from flwr_gan.app.federation import Federation
    from flwr_gan.data import Dataset

log = getLogger(__name__)

SETTINGS = "flwr_gan.settings"  # record of the question, kept in the node's state
ANSWER = "flwr_gan.node"
OWN_DATA = "data."  # prefix of the keys of a node's config that name its own data
STATE_DIR = "state-dir"
NO_SETTINGS = "this node has lost the settings of the run: it is asked again before the next round"
START = "start it with --node-config 'partition-id=0', each node with a number of its own"


def partition_of(node_config: Mapping[str, Any]) -> int:
    """Return the partition in a node's config, from 0.

    Raises ``ConfigError`` when it is missing or no whole number.
    """
    given = node_config.get("partition-id")
    if given is None:
        raise ConfigError(f"the node has no partition-id: {START}")
    if isinstance(given, bool) or not str(given).isdecimal():
        raise ConfigError(f"partition-id={given} is no whole number from 0: {START}")
    return int(str(given))


def own_data(node_config: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return the settings of ``data`` in a node's config, such as ``data.path``, sorted."""
    return tuple(
        (key.removeprefix(OWN_DATA), value)
        for key, value in sorted(node_config.items())
        if key.startswith(OWN_DATA)
    )


def settings_of(context: Context) -> str:
    """Return the run's resolved config as YAML.

    It comes from the run config or from the server's question. Under ``flwr run`` the server
    composes it from Hydra overrides. A node that has lost it does the same, unless the run was
    resumed, because then only the server has the config. Raises ``ConfigError``.
    """
    resolved = context.run_config.get("config")
    if resolved is not None:
        return str(resolved)
    if SETTINGS in context.state.config_records:
        kept = context.state.config_records[SETTINGS]["config"]
        return kept.decode() if isinstance(kept, bytes) else str(kept)
    from flwr_gan.app.config import load_config  # imports torch
    from flwr_gan.app.overrides import given, split_overrides

    overrides = split_overrides(str(context.run_config.get("overrides", "")))
    if context.node_config and given("resume", overrides) is not None:
        raise ConfigError(NO_SETTINGS)
    return load_config(overrides, default_output=f"runs/{context.run_id}").to_yaml()


def state_folder(context: Context) -> Path:
    """Return the folder of a node's state for a resumed run."""
    output = Path(_output_dir(settings_of(context)))
    base = context.node_config.get(STATE_DIR)
    folder = output if base is None else Path(str(base)).expanduser() / output.name
    return folder / "checkpoint" / "clients" / f"{partition_of(context.node_config):05d}"


@lru_cache(maxsize=2)
def _output_dir(resolved: str) -> str:
    return str(yaml.safe_load(resolved)["output_dir"])


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Return a hash of this package's code, for comparison between machines."""
    root = Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py"), key=lambda path: path.relative_to(root).as_posix()):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:12]


def answer_mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Answer the server's question, and keep the settings in it; pass other messages on.

    This mod comes before the other mods.
    """
    asked = message.metadata.message_type == MessageType.QUERY
    if not asked or SETTINGS not in message.content.config_records:
        return call_next(message, context)
    context.state.config_records[SETTINGS] = message.content.config_records[SETTINGS]
    try:
        answer = _answer(context)
    except FlwrGanError as error:
        answer = {"error": str(error)}
    return Message(RecordDict({ANSWER: ConfigRecord(answer)}), reply_to=message)


def _answer(context: Context) -> dict[str, Any]:
    """Return this node's identity; load its own data, so that errors in them are reported."""
    answer: dict[str, Any] = {
        "partition": partition_of(context.node_config),
        "own": bool(own_data(context.node_config)),
        "code": code_hash(),
        "state": str(state_folder(context).absolute()),
    }
    if answer["own"]:
        from flwr_gan.app.federation import federation_from  # imports torch

        federation = federation_from(context)
        answer |= {"samples": federation.sizes[0], "form": _form(federation.dataset)}
    return answer


def _form(data: "Dataset") -> str:
    """Return the common form of the samples of all nodes, in words."""
    names = ", ".join(data.class_names)
    return f"{data.form}, {data.num_classes} classes ({names})"


class Roster:
    """The nodes of a run: connected nodes, their partitions, and missing ones.

    If a SuperLink has more nodes, those with partitions below the number of clients take part.
    """

    def __init__(self, grid: Grid, federation: "Federation") -> None:
        self._grid = grid
        self._question = ConfigRecord({"config": federation.config.to_yaml().encode()})
        self._num_clients = federation.config.federation.num_clients
        self._data = federation.dataset
        self._asked: dict[int, str] = {}  # id of the question, by node
        self._partition: dict[int, int] = {}
        self._own: dict[int, bool] = {}
        self._unfit: dict[int, str] = {}
        self._members: dict[int, int] = {}
        self.began = False  # after that a new node replaces one of equal partition

    @property
    def own_data(self) -> bool:
        """Whether the nodes have data of their own."""
        return any(self._own.values())

    def update(self) -> dict[int, int]:
        """Return the partitions of participating connected nodes, by node; ask new nodes.

        Raises ``ConfigError`` when nodes contradict each other, or when enough nodes are connected
        but some of them cannot take part.
        """
        connected = set(self._grid.get_node_ids())
        for node in sorted(connected - set(self._asked)):
            question = Message(RecordDict({SETTINGS: self._question}), node, MessageType.QUERY)
            (self._asked[node],) = self._grid.push_messages([question])
        waiting = {self._asked[node]: node for node in connected - self._known}
        for reply in self._grid.pull_messages(list(waiting)) if waiting else ():
            self._take(waiting[reply.metadata.reply_to_message_id], reply)
        self._members = {n: self._partition[n] for n in sorted(connected & set(self._partition))}
        if not self.began:
            self._check(connected)
        return self._members

    def missing(self) -> list[int]:
        """Return the partitions without a connected node, as of the last check."""
        return sorted(set(range(self._num_clients)) - set(self._members.values()))

    def ask_again(self, node: int) -> None:
        """Forget a node that has lost its settings, so that it is asked again."""
        self._asked.pop(node, None)
        self._partition.pop(node, None)

    @property
    def _known(self) -> set[int]:
        return {*self._partition, *self._unfit}

    def _take(self, node: int, reply: Message) -> None:
        """Note a node's answer; ask again a node that failed to answer in a later round."""
        if not reply.has_content() and self.began:
            log.warning("node %d did not say who it is: %s", node, reply.error.reason)
            self.ask_again(node)
            return
        answer: dict[str, Any] = {}
        if not reply.has_content():
            answer["error"] = reply.error.reason
        elif ANSWER in reply.content.config_records:
            answer.update(reply.content.config_records[ANSWER])
        reason = self._why_unfit(answer)
        if reason:
            self._unfit[node] = reason
            log.warning("node %d does not take part: %s", node, reason)
            return
        partition = int(answer["partition"])
        for other in [n for n, p in self._partition.items() if p == partition and self.began]:
            log.info("client %d is now node %d, in place of node %d", partition, node, other)
            del self._partition[other]
        self._partition[node], self._own[node] = partition, bool(answer.get("own"))
        samples = f", {answer.get('samples')} samples of its own" if self._own[node] else ""
        state = answer.get("state")
        log.info("client %d is node %d%s; its state: %s", partition, node, samples, state)

    def _why_unfit(self, answer: Mapping[str, Any]) -> str:
        """Return why a node with this answer cannot take part; empty if it can."""
        if "error" in answer:
            return str(answer["error"])
        if answer.get("code") != code_hash():
            return (
                f"the node has other code of flwr_gan ({answer.get('code')}) than the server "
                f"({code_hash()}): install the same version on both"
            )
        if answer.get("own") and answer.get("form") != _form(self._data):
            return (
                f"the node's own data are {answer.get('form')}, and the run's are "
                f"{_form(self._data)}: give data=... of that form to the run"
            )
        partition = answer.get("partition")
        if not isinstance(partition, int) or partition < 0:
            return f"it says partition-id={partition}: {START}"
        if partition >= self._num_clients:
            return (
                f"partition-id={partition} is too large: federation.num_clients="
                f"{self._num_clients} allows 0 to {self._num_clients - 1}"
            )
        return ""

    def _check(self, connected: set[int]) -> None:
        """Raise unless these nodes can begin or others may still connect."""
        of_partition: dict[int, int] = {}
        for node, partition in self._members.items():
            if partition in of_partition:
                raise ConfigError(
                    f"nodes {of_partition[partition]} and {node} both have "
                    f"partition-id={partition}: {START}"
                )
            of_partition[partition] = node
        if len({self._own[node] for node in self._members}) == 2:
            without = min(node for node in self._members if not self._own[node])
            raise ConfigError(
                f"node {without} has no data of its own, and others have: give all nodes a "
                "--node-config with data.KEY=..., or none"
            )
        answered = connected <= self._known
        enough = self._num_clients <= len(connected)
        if answered and self._unfit and enough and (missing := self.missing()):
            node, reason = next(iter(self._unfit.items()))
            raise ConfigError(f"no node is client {named(missing)}; node {node}: {reason}")


def named(clients: Sequence[object]) -> str:
    """Return client numbers as text, at most the first ten."""
    more = f" and {len(clients) - 10} more" if len(clients) > 10 else ""
    return ", ".join(map(str, clients[:10])) + more
