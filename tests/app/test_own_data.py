"""Nodes with data of their own, as on real machines: asked who they are, nothing is split."""

import json

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, RecordDict
from PIL import Image

from flwr_gan.app.config import load_config
from flwr_gan.app.federation import federation_of
from flwr_gan.client_app import app as client_app
from flwr_gan.data.digits import load_digits
from flwr_gan.engine.inline_grid import InlineGrid
from flwr_gan.errors import ConfigError
from flwr_gan.flower.flwr_private import Run
from flwr_gan.server_app import app as server_app
from tests.conftest import TINY

pytestmark = pytest.mark.usefixtures("quick_judge")

REMOTE = "data=remote strategy=fedavg federation.rounds=1 evaluation=none"


class NodeGrid(InlineGrid):
    """Nodes that were started with a config each, and an app that was started by ``flwr run``."""

    def __init__(self, node_configs, overrides):
        self.node_configs = node_configs
        run = Run.create_empty(run_id=1)
        super().__init__(
            client_app,
            num_supernodes=len(node_configs),
            run_config={"overrides": overrides},
            run=run,
        )

    def _context(self, node_id, partition):
        made = super()._context(node_id, partition)
        made.node_config = self.node_configs[partition]
        return made


@pytest.fixture
def files(tmp_path):
    """Write the even digits into one file and the odd ones into another; return their paths."""
    train = load_digits().train
    paths = []
    for rest in (0, 1):
        own = train.y_N % 2 == rest
        paths.append(str(tmp_path / f"own{rest}.npz"))
        np.savez(paths[-1], x=train.x_NTC[own], y=train.y_N[own])
    return paths


def run(node_configs, overrides, folder):
    text = f"{TINY} {overrides} output_dir={folder}"
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    context.run_config = {"overrides": text}
    server_app(NodeGrid(node_configs, text), context)
    return folder


def nodes(files, **more):
    return [{"partition-id": at, "data.path": path, **more} for at, path in enumerate(files)]


def test_nodes_train_on_their_own_files_and_the_server_has_none(files, tmp_path, caplog):
    caplog.set_level("INFO")
    folder = run(nodes(files), REMOTE, tmp_path / "run")
    rounds = pd.read_csv(folder / "rounds.csv")
    assert rounds["clients"].tolist() == [2]
    assert not (folder / "partition.png").exists()
    assert json.loads((folder / "summary.json").read_text())["data"] == "remote"
    assert (folder / "samples.png").exists()


@pytest.mark.long
def test_a_server_may_score_on_data_of_its_own(files, tmp_path):
    test, own = load_digits().test, tmp_path / "servers.npz"
    np.savez(own, x=test.x_NTC, y=test.y_N)
    names = f"data.class_names=[{','.join('0123456789')}]"
    scored = f"data=arrays data.path={own} {names} strategy=fedavg federation.rounds=1"
    folder = run(nodes(files), scored, tmp_path / "run")
    assert pd.read_csv(folder / "rounds.csv")["synthetic_accuracy"].notna().all()
    assert not (folder / "partition.png").exists()


def test_the_state_of_a_node_stays_where_the_node_says(files, tmp_path):
    place = tmp_path / "elsewhere"
    run(nodes(files, **{"state-dir": str(place)}), REMOTE, tmp_path / "run")
    assert sorted(p.name for p in (place / "run/checkpoint/clients").iterdir()) == [
        "00000",
        "00001",
    ]
    assert not (tmp_path / "run/checkpoint/clients").exists()


@pytest.mark.long
def test_each_node_trains_on_another_file_than_the_others(files, tmp_path):
    one = run(nodes(files), REMOTE, tmp_path / "one")
    other = run(nodes(files[::-1]), REMOTE, tmp_path / "other")
    sent = [pd.read_csv(folder / "payloads.csv").set_index(["direction", "client"])
            for folder in (one, other)]  # fmt: skip
    assert sent[0].loc["down"].equals(sent[1].loc["down"])
    assert (sent[0].loc["up"]["payload_crc32"] != sent[1].loc["up"]["payload_crc32"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data.path": "/nowhere.npz"}, r"no node is client 1; node \d+: cannot read /nowhere"),
        ({"data.num_vectors": 9}, r"samples are 8 x 8, and the run's are 9 x 8"),
        ({"data.kind": "film"}, r"data\.kind='film'"),
        ({"data.colour": 3}, r"no node is client 1; .*colour"),
        ({"data.num_channels": 3}, r"samples are 8 x 8, and the run's are 8 x 8 x 3"),
    ],
)
def test_what_is_wrong_with_a_nodes_data_is_said_before_training(files, tmp_path, change, message):
    configs = nodes(files)
    configs[1] |= change
    with pytest.raises(ConfigError, match=message):
        run(configs, REMOTE, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nodes_train_on_their_own_folders_of_pictures(tmp_path):
    roots = []
    for at in (0, 1):
        roots.append(tmp_path / f"own{at}")
        for name in ("a", "b"):
            (roots[-1] / name).mkdir(parents=True)
            for number in range(4):
                colour = (60 * at, 60 * number, 200)
                Image.new("RGB", (9, 7), colour).save(roots[-1] / name / f"{number}.png")
    configs = [{"partition-id": at, "data.root": str(root)} for at, root in enumerate(roots)]
    wanted = "data=image_folder data.size=8 data.channels=1 data.class_names=[a,b]"
    folder = run(configs, f"{REMOTE} {wanted}".replace("data=remote ", ""), tmp_path / "run")
    assert pd.read_csv(folder / "rounds.csv")["clients"].tolist() == [2]
    assert json.loads((folder / "summary.json").read_text())["data"] == "image_folder"


def test_a_node_keeps_the_writers_of_its_samples(files):
    x, y, writer = np.zeros((20, 8, 8)), np.arange(20) % 10, np.arange(20) // 2
    np.savez(files[0], x=x, y=y, writer=writer)
    config = load_config([*TINY.split(), *REMOTE.split()])
    held = federation_of(config.to_yaml(), (("path", files[0]),)).samples_of(0)
    assert sorted(held.writer_N) == writer.tolist()


def test_a_node_with_images_in_colour_does_not_take_part(files, tmp_path):
    configs = nodes(files)
    np.savez(files[1], x=np.zeros((4, 8, 8, 3)), y=np.arange(4) % 2)
    configs[1]["data.num_channels"] = 3
    with pytest.raises(
        ConfigError, match=r"node \d+: gan\.network=vectors is not for images in co"
    ):
        run(configs, REMOTE, tmp_path / "run")


def test_own_data_are_for_all_nodes_or_for_none(files, tmp_path):
    configs = nodes(files)
    del configs[1]["data.path"]
    with pytest.raises(ConfigError, match=r"has no data of its own, and others have"):
        run(configs, REMOTE, tmp_path / "run")


def test_somebody_must_have_data(tmp_path):
    configs = [{"partition-id": at} for at in (0, 1)]
    with pytest.raises(ConfigError, match=r"the nodes have no data of their own: start each"):
        run(configs, REMOTE, tmp_path / "run")


@pytest.mark.parametrize("wish", ["evaluation=server", "drift=style strategy=continual"])
def test_a_server_without_data_cannot_score(files, tmp_path, wish):
    with pytest.raises(ConfigError, match=r"data=remote has no samples on the server"):
        run(nodes(files), f"{REMOTE} {wish}", tmp_path / "run")
