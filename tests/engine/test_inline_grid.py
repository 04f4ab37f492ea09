"""The in-process grid."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from flwr_gan.engine.inline_grid import InlineGrid, Post
from flwr_gan.flower.flwr_private import Run


def make_grid(app: ClientApp, **settings) -> InlineGrid:
    return InlineGrid(
        app, num_supernodes=3, run_config={"answer": 42}, run=Run.create_empty(1), **settings
    )


def counting_app() -> ClientApp:
    app = ClientApp()

    @app.train()
    def train(message, context):
        state = context.state.config_records.setdefault("seen", ConfigRecord({"count": 0}))
        state["count"] = int(state["count"]) + 1
        message.content.config_records["note"]["changed"] = True
        content = RecordDict(
            {
                "out": ConfigRecord(
                    {
                        "count": state["count"],
                        "partition": context.node_config["partition-id"],
                        "answer": context.run_config["answer"],
                    }
                )
            }
        )
        return Message(content, reply_to=message)

    return app


def order(node: int) -> Message:
    return Message(RecordDict({"note": ConfigRecord({"x": 1})}), node, "train")


def test_each_node_keeps_its_own_state_and_partition():
    grid = make_grid(counting_app())
    for expected in (1, 2):
        replies = list(grid.send_and_receive([order(node) for node in grid.get_node_ids()]))
        found = [dict(reply.content["out"]) for reply in replies]
        assert found == [{"count": expected, "partition": p, "answer": 42} for p in range(3)]


def test_a_client_cannot_change_the_message_of_another():
    grid = make_grid(counting_app())
    content = RecordDict({"note": ConfigRecord({"x": 1}), "arrays": ArrayRecord()})
    list(grid.send_and_receive([Message(content, node, "train") for node in (2, 3)]))
    assert dict(content["note"]) == {"x": 1}


def test_what_a_client_does_to_any_of_its_records_stays_with_it():
    app = ClientApp()

    @app.train()
    def train(message, context):
        message.content["arrays"].pop("a")
        message.content["metrics"]["m"] = 2.0
        message.content["more"] = ConfigRecord()
        return Message(message.content, reply_to=message)

    arrays = ArrayRecord([np.ones(3)])
    arrays["a"] = arrays.pop("0")
    content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"m": 1.0})})
    (reply,) = make_grid(app).send_and_receive([Message(content, 2, "train")])
    assert list(reply.content) == ["arrays", "metrics", "more"]
    assert list(content) == ["arrays", "metrics"]
    assert list(content["arrays"]) == ["a"]
    assert content["metrics"]["m"] == 1.0


def test_what_a_client_does_to_an_array_stays_with_it():
    app, seen = ClientApp(), []

    @app.train()
    def train(message, context):
        array = message.content["arrays"]["0"]
        seen.append(array.numpy().tolist())
        values = array.numpy()
        values += 1
        array.data = ArrayRecord([values])["0"].data
        message.content["config"]["list"].append(context.node_id)
        seen.append(list(message.content["config"]["list"]))
        return Message(message.content, reply_to=message)

    arrays, config = ArrayRecord([np.ones(2)]), ConfigRecord({"list": [0]})
    content = RecordDict({"arrays": arrays, "config": config})  # one content for all, as in a round
    replies = make_grid(app).send_and_receive([Message(content, n, "train") for n in (2, 3, 4)])
    assert seen == [[1, 1], [0, 2], [1, 1], [0, 3], [1, 1], [0, 4]]
    assert content["arrays"]["0"].numpy().tolist() == [1, 1]
    assert content["config"]["list"] == [0]
    assert [r.content["arrays"]["0"].numpy().tolist() for r in replies] == [[2, 2]] * 3


def test_an_exception_becomes_an_error_reply():
    app = ClientApp()

    @app.train()
    def train(message, context):
        raise ValueError("no data today")

    (reply,) = make_grid(app).send_and_receive([order(3)])
    assert reply.has_error()
    assert reply.error.reason == "partition 1: ValueError: no data today"
    assert reply.metadata.src_node_id == 3


@pytest.mark.parametrize("node", [1, 5])
def test_an_unknown_node_is_an_error_reply(node):
    (reply,) = make_grid(counting_app()).send_and_receive([order(node)])
    assert f"there is no node {node}" in reply.error.reason


def stubborn_app(*, copies: bool) -> ClientApp:
    """Return an app that writes to its state in every way, and raises in every second call."""
    app = ClientApp()

    @app.train()
    def train(message, context):
        if copies:
            context.state = context.state.copy()
        records = context.state
        arrays = records.array_records.setdefault("arrays", ArrayRecord())
        seen = records.config_records.setdefault("seen", ConfigRecord({"list": [], "calls": 0}))
        reply = ConfigRecord({"list": list(seen["list"]), "arrays": list(arrays)})
        seen["list"].append(len(arrays))
        seen["calls"] += 1
        arrays[str(len(arrays))] = ArrayRecord([np.ones(2)])["0"]
        context.node_config["partition-id"] = 99
        if message.content["note"]["fails"]:
            raise ValueError("no data today")
        return Message(RecordDict({"out": reply}), reply_to=message)

    return app


@pytest.mark.parametrize("copies", [False, True])
def test_what_a_call_that_raises_did_to_its_state_is_dropped(copies):
    """As on Ray, where the state of a call that raised never comes back."""
    grid = make_grid(stubborn_app(copies=copies))
    found = []
    for fails in (True, False, True, True, False, False):
        note = RecordDict({"note": ConfigRecord({"fails": fails})})
        (reply,) = grid.send_and_receive([Message(note, 2, "train")])
        found.append(reply.error.reason if reply.has_error() else dict(reply.content["out"]))
    raised = "partition 0: ValueError: no data today"
    assert found == [
        raised,
        {"list": [], "arrays": []},
        raised,
        raised,
        {"list": [0], "arrays": ["0"]},
        {"list": [0, 1], "arrays": ["0", "1"]},
    ]


def test_large_arrays_of_a_state_are_not_copied():
    app, seen = ClientApp(), []

    @app.train()
    def train(message, context):
        arrays = context.state.array_records.setdefault("a", ArrayRecord([np.ones(1000)]))
        seen.append(arrays["0"].data)
        return Message(RecordDict(), reply_to=message)

    grid = make_grid(app)
    for _ in range(2):
        list(grid.send_and_receive([order(2)]))
    assert seen[0] is seen[1]


def test_messages_are_delivered_in_groups_without_a_node_twice():
    groups = []

    def run_together(jobs):
        groups.append(len(jobs))
        return [job() for job in jobs]

    grid = make_grid(counting_app(), clients_at_once=2, run_together=run_together)
    posts = [Post([order(2), order(3), order(4)]), Post([order(4), order(2)])]
    grid.deliver(posts)
    assert groups == [2, 1, 2]
    assert [len(post.message_ids) for post in posts] == [3, 2]
    replies = list(grid.pull_messages(posts[1].message_ids))
    assert [reply.content["out"]["count"] for reply in replies] == [2, 2]


def test_progress_is_reported_for_every_answer():
    ticks = []
    grid = make_grid(counting_app(), on_reply=lambda sent, reply: ticks.append((sent, reply)))
    list(grid.send_and_receive([order(2), order(4)]))
    assert [reply.metadata.src_node_id for _, reply in ticks] == [2, 4]


def test_replies_can_be_pulled_once():
    grid = make_grid(counting_app())
    ids = list(grid.push_messages([order(2)]))
    assert len(list(grid.pull_messages(ids))) == 1
    assert list(grid.pull_messages(ids)) == []


FAULTS = """
import resource
import numpy as np
from flwr_gan.core.heap import keep_freed_memory

def faults():
    def count():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    before = count()
    for _ in range(20):
        arrays = [np.ones(1_000_000, np.float32) for _ in range(4)]
        del arrays
    return count() - before

first = faults()
keep_freed_memory()
faults()
print(first, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
def test_freed_memory_is_kept_for_the_next_message():
    """Pages are fetched from the system once, and not again for each message."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS]
    done = subprocess.run(command, env=plain, stdout=-1, text=True, check=True, timeout=120)
    before, after = map(int, done.stdout.split())
    assert after < before / 10
