"""Scores by class and client, from what a finished run leaves."""

import json

import numpy as np
import pytest
import torch

from flwr_gan.app.breakdown import Breakdown
from flwr_gan.app.federation import load_federation
from flwr_gan.app.generator_file import load_generator
from flwr_gan.app.scoring import Scorer
from flwr_gan.data import Samples
from flwr_gan.gan import sample
from flwr_gan.seeding import derive_seed


class Copies:
    """A strategy whose samples are training samples, but those of two classes are exchanged."""

    def __init__(self, train: Samples) -> None:
        self.train = train

    def sample(self, labels_N, seed):
        swapped = np.where(labels_N == 3, 8, np.where(labels_N == 8, 3, labels_N))
        rng, y = np.random.default_rng(seed), self.train.y_N
        return self.train.x_NTC[[rng.choice(np.flatnonzero(y == k)) for k in swapped]]


@pytest.mark.long
def test_the_worst_class_and_client_and_copies_are_named(tiny, tmp_path):
    made = load_federation(f"{tiny} output_dir=unused partition=shard federation.num_clients=5")
    scorer = Scorer(made, Copies(made.dataset.train))
    found = Breakdown.of(scorer, [], server_round=1, generators=tmp_path)
    rows = found.summary()
    assert set(rows["by_class"]) == set(made.dataset.class_names)
    assert rows["worst_class"]["conditional_accuracy"] in ("3", "8")
    assert rows["worst_class"]["frechet_distance"] in ("3", "8")
    for name, row in rows["by_class"].items():
        assert (row["conditional_accuracy"] < 0.2) == (name in ("3", "8"))
        assert (row["frechet_distance"] > 5 * row["real_frechet_distance"]) == (name in ("3", "8"))
    of_two = [np.isin(made.samples_of(client).y_N, (3, 8)).mean() for client in range(5)]
    assert rows["worst_client"]["conditional_accuracy"] == str(np.argmax(of_two))
    assert [row["samples"] for row in rows["by_client"].values()] == made.sizes
    assert not any("own_frechet_distance" in row for row in rows["by_client"].values())
    right = ~np.isin(found.nearness.generated_y_G, (3, 8))
    assert not found.nearness.generated_G[right].any()
    assert found.nearness.scores["training_share"] > 0.9


def test_without_evaluation_there_is_none(tiny, tmp_path):
    made = load_federation(f"{tiny} output_dir=unused evaluation=none")
    assert Breakdown.of(Scorer(made, None), [], server_round=1, generators=tmp_path) is None


@pytest.mark.long
@pytest.mark.parametrize("settings", ["", "gan.conditional=false", "experiment=one_shot"])
def test_a_run_scores_each_clients_last_upload_too(simulate, settings):
    folder = simulate(f"evaluation=server lottery.iterations=1 {settings}", pictures=True)
    summary = json.loads((folder / "summary.json").read_text())
    assert ("by_class" in summary) == (settings != "gan.conditional=false")
    assert (folder / "breakdown.png").stat().st_size > 10_000
    made = load_federation(f"resume={folder}")
    held = made.as_trained(made.samples_of(1))
    held = held.take(np.linspace(0, len(held) - 1, min(len(held), 500)).round())
    rng = torch.Generator().manual_seed(derive_seed(0, "breakdown", partition=1))
    own = sample(load_generator(folder / "generators/client-00001.fgan"), held.y_N, rng=rng)
    row = summary["by_client"]["1"]
    judge = Scorer(made, None).judge
    assert row["own_frechet_distance"] == pytest.approx(
        judge.compare(own, None, held.x_NTC)["frechet_distance"]
    )
    assert row["own_frechet_distance"] != row["frechet_distance"]
    assert 0 < summary["copying"]["training_share_expected"] < 1
