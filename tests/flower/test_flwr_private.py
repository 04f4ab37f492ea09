"""The private names of flwr do what the package takes them to do; run on each supported version."""

import importlib.metadata
import inspect

from flwr.app import ArrayRecord, Error, Message, MessageType, RecordDict
from flwr.common import Code, FitIns, FitRes, Parameters, Status

from flwr_gan.engine import InlineGrid
from flwr_gan.flower import flwr_private as private
from tests.flower.numbers_app import client_app

PARAMETERS = Parameters([b"one", b"two"], "any")


def test_the_version_is_one_that_is_supported():
    major, minor, *_ = importlib.metadata.version("flwr").split(".")
    assert (int(major), int(minor)) in {(1, 41), (1, 42)}


def test_legacy_messages_become_records_and_back():
    content = private.fitins_to_recorddict(FitIns(PARAMETERS, {"lr": 0.5}), keep_input=True)
    assert list(content) == ["fitins.parameters", "fitins.config"]
    arrays = content["fitins.parameters"]
    assert [(key, a.stype, a.data) for key, a in arrays.items()] == [
        ("0", "any", b"one"),
        ("1", "any", b"two"),
    ]
    assert arrays["0"].data is PARAMETERS.tensors[0]  # by which a broadcast is known again
    result = FitRes(Status(Code.OK, "fine"), PARAMETERS, 7, {"a": 1})
    back = private.recorddict_to_fitres(
        private.fitres_to_recorddict(result, keep_input=True), keep_input=True
    )
    assert (back.parameters, back.num_examples, back.metrics) == (PARAMETERS, 7, {"a": 1})


def test_a_legacy_client_is_reached_through_its_grid():
    grid = InlineGrid(
        client_app(lambda arrays, _: arrays),
        num_supernodes=1,
        run_config={},
        run=private.Run.create_empty(run_id=3),
    )
    proxy = private.GridClientProxy(private.FIRST_NODE_ID, grid, 3)
    assert (proxy.node_id, proxy.grid, proxy.run_id) == (private.FIRST_NODE_ID, grid, 3)
    assert proxy.cid == str(private.FIRST_NODE_ID)
    assert list(inspect.signature(proxy.fit).parameters) == ["ins", "timeout", "group_id"]


def test_a_message_can_be_made_around_the_metadata_of_another():
    private.take_task_identity(3)
    content = RecordDict({"a": ArrayRecord()})
    message = Message(content, private.FIRST_NODE_ID, MessageType.TRAIN, group_id="4")
    private.set_message_id(message, "17")
    other = Message(metadata=message.metadata, content=RecordDict())
    assert (other.metadata.message_id, other.metadata.group_id) == ("17", "4")
    error = Error(private.ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "why")
    refused = Message(metadata=message.metadata, error=error)
    assert refused.has_error()
    assert refused.error.reason == "why"
    assert Message(RecordDict(), reply_to=message).metadata.reply_to_message_id == "17"
