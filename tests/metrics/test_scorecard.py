"""The row of everything, of a teacher itself and of a pruned copy."""

import math
from copy import deepcopy

import numpy as np
import pytest
import torch

from flwr_gan.data.digits import load_digits
from flwr_gan.gan import Generator, sample
from flwr_gan.metrics import SampleJudge, score_compressed
from flwr_gan.metrics.scorecard import COLUMNS

Y_N = np.repeat(np.arange(10), 20)


def samples(generator):
    return sample(generator, Y_N, rng=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def judge():
    data = load_digits()
    return SampleJudge(data.train, data.test, num_classes=10, seed=0, max_train=300)


@pytest.fixture(scope="module")
def teacher():
    return Generator(8, 8, 10, latent_dim=8, channels=(16, 8), seed=3)


def row(generator, teacher, judge, y_N=Y_N, **settings):
    return score_compressed(
        generator, teacher, judge=judge, x_NTC=samples(generator), teacher_NTC=samples(teacher),
        y_N=y_N, dense_bytes=400, payload_bytes=100, seed=0, repeats=1, **settings,
    )  # fmt: skip


@pytest.mark.long
def test_the_teacher_itself_has_every_column_and_nothing_lost(judge, teacher):
    scores = row(teacher, teacher, judge)
    assert set(scores) == set(COLUMNS)
    assert scores["psnr_db"] == math.inf
    assert scores["pixel_accuracy"] == scores["iou"] == 1
    assert scores["compression_ratio"] == 4
    assert scores["dense_macs"] == scores["sparse_macs"] == scores["teacher_macs"]
    assert 1 <= scores["inception_score"] <= 10
    plain = judge.score(samples(teacher), Y_N, 0)
    assert {key: scores[key] for key in plain} == plain


@pytest.mark.long
def test_a_pruned_copy_differs_where_it_should(judge, teacher):
    pruned = deepcopy(teacher)
    with torch.no_grad():
        pruned.conv1.weight[::2] = 0
    scores = row(pruned, teacher, judge)
    assert 0 < scores["psnr_db"] < 60
    assert 0 < scores["iou"] < scores["pixel_accuracy"] < 1
    assert scores["nonzero"] == scores["parameters"] - 8 * 16 * 3 // 2
    assert scores["sparse_macs"] < scores["dense_macs"] == scores["teacher_macs"]


def test_measures_that_have_no_meaning_are_nan(judge, teacher):
    scores = row(teacher, teacher, judge, y_N=None, images=False)
    unknown = {key for key, value in scores.items() if math.isnan(value)}
    assert unknown == {"conditional_accuracy", "synthetic_accuracy", "laplacian_variance"}
