"""The ledger: its columns, its order, and what it needs."""

import subprocess
import sys

import pytest

from flwr_gan.errors import OutputError
from flwr_gan.wire.ledger import COLUMNS, Ledger, MessageRow


def row(client, **settings):
    return MessageRow(
        **(
            {"round": 1, "client": client, "direction": "up", "kind": "train", "codec": "raw"}
            | settings
        )
    )


def test_columns_stand_in_the_documented_order():
    assert COLUMNS == (
        "round", "client", "direction", "kind", "codec", "parameters", "nonzero", "dense_bytes",
        "payload_bytes", "mask_bytes", "value_bytes", "message_bytes", "arrived_share",
        "encode_s", "decode_s",
    )  # fmt: skip


def test_numbers_of_clients_come_before_labels_each_in_their_order():
    ledger = Ledger([row(client) for client in ("site-b", 10, "site-a", 9, -1, "10")])
    assert list(ledger.to_frame()["client"]) == [-1, 9, 10, "10", "site-a", "site-b"]


def test_rows_are_sorted_by_round_kind_and_direction_before_the_client():
    rows = [row(0, round=2), row("a", kind="evaluate"), row(1), row(1, direction="down"),
            row(5, kind="unchanged"), row(7, kind="init", round=0)]  # fmt: skip
    found = Ledger(rows).to_frame()
    assert list(zip(found["round"], found["kind"], found["direction"], strict=True)) == [
        (0, "init", "up"), (1, "train", "down"), (1, "train", "up"), (1, "unchanged", "up"),
        (1, "evaluate", "up"), (2, "train", "up"),
    ]  # fmt: skip


def test_the_share_that_arrived_is_nan_where_nothing_was_lossy():
    found = Ledger([row(0), row(1, arrived_share=0.99)]).to_frame()["arrived_share"]
    assert found.isna().tolist() == [True, False]
    assert found[1] == 0.99


def test_totals_are_of_one_direction_and_round():
    ledger = Ledger([row(0, payload_bytes=3), row(0, payload_bytes=4, round=2),
                     row(0, payload_bytes=5, direction="down")])  # fmt: skip
    assert ledger.total("payload_bytes", direction="up") == 7
    assert ledger.total("payload_bytes", direction="up", round=2) == 4


def test_pandas_is_needed_for_the_table_alone(monkeypatch):
    ledger = Ledger([row(0)])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(OutputError, match="pip install pandas"):
        ledger.to_frame()


def test_importing_the_ledger_does_not_import_pandas():
    code = "import sys, flwr_gan.wire.ledger; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
