"""Each loss term against a computation by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from flwr_gan.methods.distillation_losses import (
    TERMS,
    Outputs,
    alignment_loss,
    features_loss,
    perceptual_loss,
    triplet_loss,
)
from tests.methods.tiny_gans import FAMILIES, tiny_gan

ONE, OTHER = torch.tensor([[[1.0, -1.0]], [[0.0, 3.0]]]), torch.tensor([[[0.0, 1.0]], [[2.0, 3.0]]])


def test_features_map_the_student_to_the_teacher_and_sum_over_layers():
    double = nn.Conv1d(1, 1, 1, bias=False)
    nn.init.constant_(double.weight, 2.0)
    loss = features_loss([ONE, ONE], [OTHER, 2 * ONE], [double, double])
    assert loss.item() == pytest.approx((4 + 9 + 4 + 9) / 4 + 0)


def test_alignment_is_that_of_the_kernel_matrices():
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(5, s, 7)), rng.normal(size=(5, h, 7))) for s, h in ((3, 6), (4, 4))]
    expected = 0.0
    for layer in layers:  # Cristianini et al. (2002): the cosine of the two matrices of products
        k, m = (x @ x.T for x in (part.transpose(0, 2, 1).reshape(35, -1) for part in layer))
        expected += 1 - np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    student, teacher = ([torch.from_numpy(part) for part in of] for of in zip(*layers, strict=True))
    assert alignment_loss(student, teacher).item() == pytest.approx(expected)
    turned, _ = torch.linalg.qr(torch.from_numpy(rng.normal(size=(3, 3))))
    same = [torch.einsum("bsn,sh->bhn", student[0], 2 * turned)]
    assert alignment_loss(same, student[:1]).item() == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(alignment_loss([0 * student[0]], teacher[:1]))


def test_perceptual_is_the_mean_absolute_difference_summed_over_layers():
    wide = torch.zeros(2, 4), torch.full((2, 4), 0.5)
    assert perceptual_loss([ONE, wide[0]], [OTHER, wide[1]]).item() == (1 + 2 + 2 + 0) / 4 + 0.5


def test_triplet_is_the_hinge_of_the_distances():
    anchor, positive = [torch.zeros(2, 2)], [torch.tensor([[1.0, 3.0], [0.0, 0.0]])]
    negative = [torch.tensor([[2.0, 2.0], [9.0, 9.0]])]
    # by sample: 2 - 2 + 1 = 1, and 0 - 9 + 1 below 0
    assert triplet_loss(anchor, positive, negative).item() == pytest.approx(0.5)
    assert triplet_loss(anchor, positive, negative, margin=10.0).item() == pytest.approx(5.5)
    both = triplet_loss(2 * anchor, 2 * positive, 2 * negative)
    assert both.item() == pytest.approx(0.5)


def test_terms_read_what_they_are_named_after():
    out = Outputs(
        student_BTC=ONE,
        teacher_BTC=OTHER,
        student_critic=[torch.zeros(2, 2), torch.tensor([1.0, 5.0])],
        teacher_critic=[torch.ones(2, 2), torch.tensor([2.0, 2.0])],
        student_BSN=[ONE],
        teacher_BHN=[OTHER],
        mappings=[nn.Identity()],
    )
    found = {name: term.loss(out).item() for name, term in TERMS.items()}
    expected = {
        "pixel": 9 / 4,
        "adversarial": -3.0,
        "class": 5.0,
        "features": 9 / 4,
        "alignment": 1 - 8**2 / (11 * 14),
        "perceptual": 1.0,
    }
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_critics_features_end_with_its_score(family):
    gan = tiny_gan(family)
    x_BTC, y_B = torch.from_numpy(gan.x_NTC), torch.from_numpy(gan.y_N)
    features = gan.critic.features(x_BTC, y_B)
    assert torch.equal(features[-1], gan.critic(x_BTC, y_B))
    widths = {"vectors": [12, 10], "depth": [3, 4, 5, 6]}[family]
    assert [layer.shape[1] for layer in features[:-1]] == widths
