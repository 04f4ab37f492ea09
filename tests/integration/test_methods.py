"""Whole runs in which clients compress by training, and the server distils what they send."""

import json

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, RecordDict

from flwr_gan.app.federation import federation_from, load_federation
from flwr_gan.app.generator_file import load_generator
from flwr_gan.app.overrides import config_dir
from flwr_gan.app.strategy import build_strategy
from flwr_gan.client_app import app as client_app
from flwr_gan.engine.run_apps import run_apps
from flwr_gan.errors import ConfigError
from flwr_gan.gan import network_arrays
from flwr_gan.server_app import app as server_app
from flwr_gan.server_app import prepare_run_config
from flwr_gan.wire import load

pytestmark = pytest.mark.usefixtures("quick_judge")

TIMES = ["encode_s", "decode_s"]
POOL = "strategy=generator_pool method_iterations=2"
DISTILLED = (
    "strategy=distilled_pool strategy.iterations=3 method=distillation method.width=0.5 "
    "method_iterations=2"
)
# Options whose students have a form that is known beforehand, as they stand.
UNKNOWN_FORM = "once_for_all"  # the only one whose training decides on the form of the generator
METHODS = sorted(
    p.stem for p in (config_dir() / "method").glob("*.yaml") if p.stem not in ("none", UNKNOWN_FORM)
)


def shapes(arrays):
    return [array.shape for array in arrays]


@pytest.mark.long
def test_clients_distil_before_they_upload_and_the_server_distils_the_pool(simulate):
    folder = simulate(
        f"{DISTILLED} strategy.width=0.5 evaluation=server", folder="first", pictures=True
    )
    generators = folder / "generators"
    assert sorted(p.name for p in generators.iterdir()) == [
        "client-00000.fgan", "client-00001.fgan", "generator.json", "student.fgan",
    ]  # fmt: skip
    uploaded = shapes(load(generators / "client-00000.fgan").values())
    assert uploaded[1:] == [(4, 4, 3), (8, 4, 3), (10,)]  # of channels [8, 8], then class counts
    student = load(generators / "student.fgan")
    assert shapes(student.values())[1:] == [(2, 2, 3), (8, 2, 3)]
    assert shapes(network_arrays(load_generator(folder)).values()) == shapes(student.values())
    frame = pd.read_csv(folder / "messages.csv")
    size = sum(int(np.prod(shape)) for shape in uploaded)
    assert set(frame[frame.direction == "up"].parameters) == {size}
    assert "frechet_distance" in pd.read_csv(folder / "rounds.csv")

    picture = (folder / "samples.png").read_bytes()
    for name in ("summary.json", "samples.png"):  # as if killed after the last checkpoint
        (folder / name).unlink()
    run_config, nodes = prepare_run_config(f"resume={folder}", None)
    run_apps(server_app, client_app, num_supernodes=nodes, run_config=run_config)
    assert json.loads((folder / "summary.json").read_text())["strategy"] == "DistilledPool"
    assert (folder / "samples.png").read_bytes() == picture

    again = simulate(f"{DISTILLED} strategy.width=0.5 evaluation=none", folder="again")
    repeated = pd.read_csv(again / "messages.csv")
    assert repeated.drop(columns=TIMES).equals(frame.drop(columns=TIMES))
    other = load(again / "generators" / "student.fgan")
    assert all(np.array_equal(student[name], other[name]) for name in student)


@pytest.mark.long
@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_an_upload_of_the_form_that_the_server_expects(tiny, name, tmp_path):
    settings = f"{tiny} {POOL} method={name} lottery.iterations=0 output_dir={tmp_path / 'run'}"
    federation = load_federation(settings)
    expected = build_strategy(federation).reply_rules().template
    *uploaded, counts = ticket(settings)
    assert shapes(uploaded) == [spec.shape for spec in expected.specs[:-1]]
    assert all(np.isfinite(array).all() for array in uploaded)
    assert counts.sum() == len(federation.split[1])
    again = ticket(settings)
    assert all(np.array_equal(a, b) for a, b in zip(uploaded, again, strict=False))


def test_a_method_whose_form_is_found_in_training_is_refused(tiny, tmp_path):
    federation = load_federation(f"{tiny} {POOL} method={UNKNOWN_FORM} output_dir={tmp_path}")
    with pytest.raises(ConfigError, match="not known before the training; give method=dist"):
        build_strategy(federation).reply_rules()


def ticket(settings):
    """Return what client 1 uploads when it is asked for a ticket."""
    context = Context(
        run_id=0,
        node_id=0,
        node_config={"partition-id": 1},
        state=RecordDict(),
        run_config={"overrides": settings},
    )
    return federation_from(context).client(context).fit([], {"round": 1, "task": "ticket"})[0]


def test_without_a_method_the_upload_is_the_ticket(tiny, tmp_path):
    *uploaded, _ = ticket(f"{tiny} strategy=generator_pool output_dir={tmp_path / 'run'}")
    assert shapes(uploaded)[1] == (8, 8, 3)
    assert sum(np.count_nonzero(a) for a in uploaded) < sum(a.size for a in uploaded)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("method=distillation", "FederatedTicket averages: use strategy=generator_pool"),
        ("method=distillation strategy=fedavg federation.rounds=1", "FedAvg averages"),
        (f"{POOL} method=distillation method.width=3", r"method\.width=3"),
        (f"{POOL} method=distillation method.depth=2", r"method\.depth=2 is not for a Generator"),
        (f"{POOL} method=factored method.rank=null method.energy=0.9", "give method.rank"),
        ("strategy=distilled_pool strategy.width=0", r"strategy\.width=0"),
        ("strategy=distilled_pool method=factored", "cannot be cut"),
    ],
)
def test_what_cannot_work_ends_before_training(simulate, overrides, message):
    with pytest.raises(ConfigError, match=message) as error:
        simulate(f"{overrides} evaluation=none")
    assert "\n" not in str(error.value)
