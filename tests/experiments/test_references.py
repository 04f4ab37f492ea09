"""The study of what federations are compared with, in small."""

import numpy as np
import pandas as pd
import pytest

from experiments.references.__main__ import main
from experiments.references.cases import ALONE, FEDERATED, TOGETHER
from flwr_gan.app.federation import load_federation
from flwr_gan.errors import ConfigError


def test_a_client_alone_has_its_share_and_one_place_has_all():
    whole = load_federation("federation.num_clients=4")
    alone = load_federation("federation.num_clients=1 federation.alone=2/4")
    together = load_federation("federation.num_clients=1 partition=iid")
    assert len(alone.split) == len(together.split) == 1
    assert np.array_equal(alone.split[0], whole.split[2])
    assert len(together.split[0]) == len(whole.dataset.train) == sum(map(len, whole.split))


@pytest.mark.parametrize(
    ("clients", "alone"), [(1, "4/4"), (1, "2"), (1, "a/4"), (4, "2/4"), (1, "-1/4"), (1, "''")]
)
def test_a_share_that_is_none_is_named(clients, alone):
    with pytest.raises(ConfigError, match=r"federation\.alone=.* is not allowed: give CLIENT"):
        load_federation(f"federation.num_clients={clients} federation.alone={alone}")


@pytest.mark.long
def test_the_tables_have_a_row_for_each_way(tmp_path, without_pictures):
    places = ["--folder", str(tmp_path / "runs"), "--results", str(tmp_path / "results")]
    assert main(["--settings", "classifier", "--short", *places, "federation.num_clients=2"]) == 0
    runs = pd.read_csv(tmp_path / "results" / "runs.csv")
    assert runs["trained"].tolist() == [FEDERATED, TOGETHER, ALONE, ALONE]
    summary = pd.read_csv(tmp_path / "results" / "summary.csv").set_index("trained")
    own = runs[runs["trained"] == ALONE]["test_accuracy"]
    assert summary["test_accuracy"][ALONE] == pytest.approx(own.mean(), rel=1e-4)
    assert summary["test_accuracy_max"][ALONE] == pytest.approx(own.max(), rel=1e-4)
    assert "| each client alone |" in (tmp_path / "results" / "tables.md").read_text()
