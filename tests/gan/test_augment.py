"""Differentiable augmentation: what it changes, what it leaves alone, that gradients pass."""

import pytest
import torch

from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig
from flwr_gan.gan.augment import ImageAugmentation, StrokeAugmentation


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_translation_moves_each_image_by_whole_pixels_and_fills_with_background():
    x_BTC = torch.full((64, 16, 16), -1.0)
    x_BTC[:, 8, 8] = 1.0
    moved = ImageAugmentation(translation=0.125, cutout=0)(x_BTC, seeded())
    assert moved.shape == x_BTC.shape
    assert (moved == 1).flatten(1).sum(dim=1).tolist() == [1] * 64
    places = {tuple(place[1:]) for place in (moved == 1).nonzero().tolist()}
    assert places <= {(r, c) for r in range(6, 11) for c in range(6, 11)}
    assert len(places) > 15  # each image has a shift of its own
    edge = ImageAugmentation(translation=0.5, cutout=0)(torch.ones(8, 16, 16), seeded())
    assert set(edge.unique().tolist()) == {-1.0, 1.0}


def test_cutout_is_a_square_of_background_that_may_hang_over():
    x_BTC = torch.ones(200, 16, 16)
    cut = ImageAugmentation(translation=0, cutout=0.5)(x_BTC, seeded()) == -1
    sizes = cut.flatten(1).sum(dim=1)
    assert sizes.max() == 64
    assert sizes.min() >= 16
    for square in cut[:20]:
        rows, columns = square.any(dim=1).nonzero(), square.any(dim=0).nonzero()
        assert square.sum() == len(rows) * len(columns)
        assert rows.max() - rows.min() == len(rows) - 1


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 8, 8, 3)])
def test_colours_change_by_the_formulas_of_the_published_code(shape):
    x = torch.rand(shape, generator=seeded(1)).numpy() * 2 - 1
    colour = x.reshape(5, 8, 8, -1)  # DiffAugment_pytorch.py (Zhao et al., 2020), channels last
    u, v, w = (drawn.numpy().reshape(5, 1, 1, 1) for drawn in torch.rand(3, 5, generator=seeded()))
    brighter = colour + (u - 0.5)
    mean = brighter.mean(axis=3, keepdims=True)
    saturated = (brighter - mean) * (v * 2) + mean
    mean = saturated.mean(axis=(1, 2, 3), keepdims=True)
    contrasted = (saturated - mean) * (w + 0.5) + mean
    augment = ImageAugmentation(policies=("contrast", "brightness", "saturation"))
    got = augment(torch.from_numpy(x), seeded())
    assert got.shape == shape
    torch.testing.assert_close(got, torch.from_numpy(contrasted.reshape(shape)))


def test_images_in_colour_are_moved_and_cut_as_each_of_their_channels():
    x_BTCP = torch.randn(7, 16, 16, 3, generator=seeded())
    got = ImageAugmentation()(x_BTCP, seeded(2))
    for channel in range(3):
        assert torch.equal(got[..., channel], ImageAugmentation()(x_BTCP[..., channel], seeded(2)))


def test_nothing_is_changed_where_nothing_is_asked_for():
    x_BTC = torch.randn(4, 8, 8, generator=seeded())
    assert torch.equal(ImageAugmentation(translation=0, cutout=0)(x_BTC, seeded()), x_BTC)
    strokes = torch.randn(4, 8, 3, generator=seeded())
    assert torch.equal(StrokeAugmentation(stretch=0, jitter=0)(strokes, seeded()), strokes)


def test_strokes_are_stretched_by_axis_and_keep_the_pen():
    x_BTC = torch.randn(50, 10, 3, generator=seeded())
    changed = StrokeAugmentation(stretch=0.2, jitter=0)(x_BTC, seeded(1))
    assert torch.equal(changed[..., 2], x_BTC[..., 2])
    factor_BT2 = changed[..., :2] / x_BTC[..., :2]
    torch.testing.assert_close(factor_BT2, factor_BT2[:, :1].expand(-1, 10, -1))
    factor_B2 = factor_BT2[:, 0]
    assert 0.8 <= factor_B2.min() < 0.83
    assert 1.17 < factor_B2.max() <= 1.2
    assert (factor_B2[:, 0] - factor_B2[:, 1]).abs().max() > 0.1


def test_jitter_has_its_size_and_leaves_the_pen_alone():
    x_BTC = torch.zeros(400, 10, 3)
    changed = StrokeAugmentation(stretch=0.2, jitter=0.05)(x_BTC, seeded())
    assert changed[..., :2].std().item() == pytest.approx(0.05, rel=0.05)
    assert not changed[..., 2].any()


@pytest.mark.parametrize("augment", [ImageAugmentation(), StrokeAugmentation()])
def test_gradients_pass_and_the_same_seed_gives_the_same(augment):
    x_BTC = torch.randn(6, 12, 12, generator=seeded()).requires_grad_()
    first = augment(x_BTC, seeded(3))
    assert torch.equal(first, augment(x_BTC, seeded(3)))
    assert not torch.equal(first, augment(x_BTC, seeded(4)))
    (slope,) = torch.autograd.grad(first.sum(), x_BTC)
    assert slope.flatten(1).count_nonzero(dim=1).min() > 12


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageAugmentation(translation=-0.1), "translation=-0.1 is not allowed"),
        (lambda: ImageAugmentation(policies=["colour"]), "policies='colour' is not allowed"),
        (lambda: GanConfig(augment=["contrast"]), "gan.augment=.* gan.network=images"),
        (lambda: ImageAugmentation(cutout=2), "cutout=2 is not allowed"),
        (lambda: StrokeAugmentation(stretch=1.0), "stretch=1.0 is not allowed"),
        (lambda: StrokeAugmentation(jitter=-1), "jitter=-1 is not allowed"),
    ],
)
def test_bad_settings_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
