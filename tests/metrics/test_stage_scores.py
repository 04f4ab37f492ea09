"""Quality on old and new, and forgetting, against a computation by hand."""

import numpy as np
import pytest

from flwr_gan.data.digits import load_digits
from flwr_gan.metrics import SampleJudge
from flwr_gan.metrics.stages import forgetting, stage_scores, summarised


def test_forgetting_is_the_drop_from_the_best_before():
    assert forgetting([0.5, 0.9, 0.7, 0.6], higher_is_better=True) == pytest.approx(0.3)
    assert forgetting([0.5, 0.6], higher_is_better=True) == pytest.approx(-0.1)
    assert forgetting([9.0, 4.0, 6.5], higher_is_better=False) == pytest.approx(2.5)
    with pytest.raises(ValueError, match="2 or more"):
        forgetting([1.0], higher_is_better=True)


def test_a_round_in_numbers():
    earlier = [
        {"round": 1, "accuracy_0": 0.8, "frechet_0": 5.0},
        {"round": 2, "accuracy_0": 0.9, "frechet_0": 4.0},
        {"round": 3, "accuracy_0": 0.7, "frechet_0": 6.0, "accuracy_1": 0.5, "frechet_1": 20.0},
    ]
    row = {"stage": 2, "accuracy_0": 0.6, "accuracy_1": 0.7, "accuracy_2": 0.1,
           "frechet_0": 7.0, "frechet_1": 15.0, "frechet_2": 99.0}  # fmt: skip
    assert summarised(row, earlier) == pytest.approx(
        {
            "new_accuracy": 0.1,
            "old_accuracy": 0.65,
            "forgetting_accuracy": ((0.9 - 0.6) + (0.5 - 0.7)) / 2,
            "new_frechet": 99.0,
            "old_frechet": 11.0,
            "forgetting_frechet": ((7 - 4) + (15 - 20)) / 2,
        }
    )
    first = {"stage": 0, "accuracy_0": 0.6, "frechet_0": 7.0}
    assert summarised(first, []) == {"new_accuracy": 0.6, "new_frechet": 7.0}


@pytest.mark.long
def test_real_samples_score_well_on_their_stage_alone():
    data = load_digits()
    judge = SampleJudge(data.train, data.test, num_classes=10, seed=0)
    stages = [data.test.take(np.flatnonzero(data.test.y_N // 5 == s)) for s in (0, 1)]
    held = {k: data.train.x_NTC[data.train.y_N == k] for k in range(5)}

    def generate(labels_N):  # knows the old classes only
        return np.stack([held[k % 5][i % 30] for i, k in enumerate(labels_N)])

    row = stage_scores(judge, stages, generate, samples_per_class=20, earlier=[])
    assert row["stage"] == 1
    assert row["old_accuracy"] > 0.9 > 0.1 > row["new_accuracy"]
    assert row["old_frechet"] < row["new_frechet"]
