"""The figures and lines that are told of a run."""

import json
import math
from types import SimpleNamespace

from flwr_gan.app.summary import measured, progress_line, write_summary
from flwr_gan.wire.ledger import Ledger, MessageRow


def row(**own) -> MessageRow:
    settled = {
        "round": 1, "client": 0, "direction": "up", "kind": "train", "codec": "raw",
        "parameters": 10, "nonzero": 4, "dense_bytes": 40, "payload_bytes": 20, "mask_bytes": 0,
        "value_bytes": 20, "message_bytes": 100, "encode_s": 0.0, "decode_s": 0.0,
    }  # fmt: skip
    return MessageRow(**(settled | own))


def test_a_rounds_row_counts_its_own_messages():
    rows = [
        row(),
        row(client=1, nonzero=6, message_bytes=120),
        row(client=2, parameters=0, nonzero=0, dense_bytes=0, message_bytes=10),
        row(direction="down", message_bytes=7),
        row(kind="evaluate", nonzero=0, message_bytes=1),
        row(round=2, message_bytes=1000),
    ]
    strategy = SimpleNamespace(ledger=Ledger(rows), failures={1: ["gone"]})
    found = measured(strategy, 1)
    assert (found["clients"], found["failures"]) == (2, 1)
    assert (found["up_bytes"], found["down_bytes"]) == (231, 7)
    assert found["sparsity"] == 0.5
    assert math.isnan(measured(strategy, 3)["sparsity"])


def test_progress_tells_what_is_left():
    values = {"round": 2, "sparsity": 0.5, "up_bytes": 1000, "down_bytes": 2000, "failures": 0}
    line = progress_line(values | {"wall_s": 3.0}, num_rounds=6, seconds=10)
    assert line.startswith("round   2/6 | sparsity  50.0 %")
    assert line.endswith("3.0 s, 20 s left")
    assert "failures" not in line


def test_json_has_null_where_a_figure_is_nan(tmp_path):
    write_summary({"final": {"a": float("nan"), "b": 1.5}}, tmp_path / "summary.json")
    assert json.loads((tmp_path / "summary.json").read_text()) == {"final": {"a": None, "b": 1.5}}
