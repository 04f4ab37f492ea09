"""Loggers: what they write is read back, round by round, over an interruption too."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog

from flwr_gan.app.config import load_config
from flwr_gan.app.loggers import LOGGERS, check_logger, open_logger
from flwr_gan.app.run import Run
from flwr_gan.client_app import app as client_app
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError, OutputError
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import prepare_run_config
from tests.deployment.watched import until

LONG = "strategy=fedavg federation.rounds=3 logger=tensorboard"


def masked(data: bytes) -> int:
    """Return the check sum that event files carry: a rotated CRC-32C."""
    value = crc32c(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def events(folder: Path) -> list[Event]:
    """Return all events of a log, file by file, as TensorBoard reads them."""
    found = []
    for path in sorted((folder / "tensorboard").iterdir(), key=lambda path: path.name):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size, checked) = struct.unpack_from("<QI", data, at)
            assert checked == masked(data[at : at + 8])
            body = data[at + 12 : at + 12 + size]
            assert struct.unpack_from("<I", data, at + 12 + size)[0] == masked(body)
            found.append(Event.FromString(body))
            at += 16 + size
    return found


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return the values by tag and step that TensorBoard shows: a restart hides later steps."""
    values: dict[str, dict[int, float]] = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            for steps in values.values():
                for step in [step for step in steps if step >= event.step]:
                    del steps[step]
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                assert event.step not in values.setdefault(value.tag, {})
                values[value.tag][event.step] = value.simple_value
    return values


def mlflow_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return the values by tag and step of the last run of an MLflow folder."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(folder / "mlflow").as_uri())
    run, *_ = client.search_runs(["0"], order_by=["attributes.start_time DESC"])
    history = {tag: client.get_metric_history(run.info.run_id, tag) for tag in run.data.metrics}
    (picture,) = client.list_artifacts(
        run.info.run_id, client.list_artifacts(run.info.run_id)[0].path
    )
    assert picture.path.startswith("samples/")
    return {tag: {one.step: one.value for one in values} for tag, values in history.items()}


def wandb_records(path: Path) -> list[Any]:
    """Return the whole records of a log in LevelDB's format."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, part, records = path.read_bytes(), 7, b"", []
    while at < len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        part += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            records.append(Record.FromString(part))
            part = b""
    return records


def wandb_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Return the values by tag and step of the last offline run.

    On a busy machine the process that writes its log ends a moment after the run.
    """
    # names have seconds only, and two runs may begin in one
    logs = (folder / "wandb").glob("offline-run-*/*.wandb")
    path = max(logs, key=lambda log: log.stat().st_mtime_ns)
    until(
        lambda: any(record.HasField("exit") for record in wandb_records(path)),
        what="the end of the log", timeout_s=30,
    )  # fmt: skip
    values: dict[str, dict[int, float]] = {}
    for record in wandb_records(path):
        for item in record.history.item:
            tag, value = item.key or item.nested_key[0], json.loads(item.value_json)
            if isinstance(value, int | float) and len(item.nested_key) < 2:  # else of a picture
                values.setdefault(tag, {})[record.history.step.num] = value
    assert list(path.parent.glob("files/media/images/samples_*.png"))
    return {tag: steps for tag, steps in values.items() if not tag.startswith("_")}


def check_values(folder: Path, shown: dict[str, dict[int, float]]) -> None:
    """Make sure that a log says what rounds.csv says."""
    rounds = pd.read_csv(folder / "rounds.csv").set_index("round")
    for tag, column in (
        ("bytes/up", "up_bytes"),
        ("bytes/down", "down_bytes"),
        ("run/wall_s", "wall_s"),
        ("run/sparsity", "sparsity"),
        ("quality/frechet_distance", "frechet_distance"),
        ("quality/conditional_accuracy", "conditional_accuracy"),
    ):
        assert shown[tag] == pytest.approx(rounds[column].to_dict()), tag


def check_log(folder: Path) -> None:
    """Make sure that a log of TensorBoard says what rounds.csv says, and holds the samples."""
    check_values(folder, scalars(folder))
    pictures = [
        (event.step, value.tag, value.image)
        for event in events(folder)
        for value in event.summary.value
        if value.WhichOneof("value") == "image"
    ]
    ((step, tag, image),) = pictures
    assert (step, tag) == (max(scalars(folder)["bytes/up"]), "samples")
    assert image.encoded_image_string.startswith(b"\x89PNG")
    size = (folder / "samples.png").read_bytes()[16:24]
    assert struct.unpack(">II", size) == (image.width, image.height)


@pytest.mark.slow
def test_each_round_and_the_samples_are_logged(simulate):
    folder = simulate("evaluation=server logger=tensorboard also_codecs=[zlib]", pictures=True)
    check_log(folder)
    check_log(folder / "also" / "zlib")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "read"), [("mlflow", mlflow_scalars), ("wandb", wandb_scalars)])
def test_so_they_are_by_the_other_loggers(simulate, name, read):
    pytest.importorskip(name)
    folder = simulate(f"evaluation=server logger={name}", pictures=True)
    check_values(folder, read(folder))


@pytest.mark.long
@pytest.mark.parametrize(("name", "read"), [("mlflow", mlflow_scalars), ("wandb", wandb_scalars)])
def test_a_log_that_is_opened_again_holds_all_rounds(tmp_path, name, read):
    pytest.importorskip(name)
    pixels = np.zeros((4, 4, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "samples.png")
    rows = [{"round": r, "up_bytes": 10 * r, "coverage": 1 / r} for r in (1, 2, 3)]
    for count in (2, 3):
        logger = open_logger(name, tmp_path)
        for row in rows[:count]:
            logger.log_round(row | {"sparsity": float("nan"), "note": "x"})
        logger.log_picture("samples", tmp_path / "samples.png", server_round=count)
        logger.close()
    assert read(tmp_path) == {
        "bytes/up": {1: 10, 2: 20, 3: 30},
        "quality/coverage": pytest.approx({1: 1, 2: 1 / 2, 3: 1 / 3}),
    }


def test_nothing_is_logged_where_no_logger_is_named(simulate):
    assert not (simulate("evaluation=none") / "tensorboard").exists()


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_log(simulate, tmp_path, monkeypatch):
    write = Run.write_state

    def cut(run: Run, state) -> None:
        if len(run.rounds) == 2:
            raise KeyboardInterrupt  # the second round is logged, and its checkpoint not written
        write(run, state)

    monkeypatch.setattr(Run, "write_state", cut)
    with pytest.raises(KeyboardInterrupt):
        simulate(f"evaluation=server {LONG}", pictures=True)
    monkeypatch.undo()
    folder = tmp_path / "run"
    assert set(scalars(folder)["bytes/up"]) == {1, 2}
    run_config, nodes = prepare_run_config(f"resume={folder}", None)
    run_apps(server_app, client_app, num_supernodes=nodes, run_config=run_config)
    assert len(list((folder / "tensorboard").iterdir())) == 2
    check_log(folder)
    prepare_run_config(f"resume={folder}", None)
    assert len(list((folder / "tensorboard").iterdir())) == 2


@pytest.mark.long
def test_the_log_changes_no_result(simulate):
    columns = ["up_bytes", "down_bytes", "sparsity"]
    plain, logged = (
        pd.read_csv(simulate(f"evaluation=none {more}", folder=name) / "rounds.csv")[columns]
        for name, more in (("plain", ""), ("logged", "logger=tensorboard"))
    )
    pd.testing.assert_frame_equal(plain, logged)


def test_values_that_are_not_finite_are_left_out(tmp_path):
    logger = open_logger("tensorboard", tmp_path)
    logger.log_round({"round": 1, "sparsity": float("nan"), "up_bytes": 3, "note": "x"})
    logger.close()
    assert scalars(tmp_path) == {"bytes/up": {1: 3.0}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "logger=tensorbord",
            "logger='tensorbord' is not allowed: give tensorboard or mlflow or wandb (nearest",
        ),
        ("logger=3", "logger=3 is not allowed: give a word"),
        ("logger=[a]", "logger="),
    ],
)
def test_an_unknown_logger_is_one_clear_line(override, message):
    with pytest.raises(ConfigError, match="logger=") as caught:
        load_config([override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(LOGGERS))
def test_a_missing_package_names_the_extra(name, monkeypatch):
    monkeypatch.setattr("flwr_gan.app.loggers.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf"pip install 'flwr-gan\[{name}\]'"):
        check_logger(name)


def test_a_config_from_before_loggers_still_reads(tmp_path):
    text = load_config(["output_dir=x"]).to_yaml().replace("logger: null\n", "")
    (tmp_path / "config.yaml").write_text(text)
    assert load_config([f"resume={tmp_path}"]).logger is None


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        open_logger("tensorboard", tmp_path)
