"""GAN slimming: instance normalisation, scales that shrink, which channels go."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flwr_gan.app.generator_file import GeneratorInfo, load_generator
from flwr_gan.errors import ConfigError
from flwr_gan.gan import GanConfig, build_networks
from flwr_gan.gan.dcgan import DepthGenerator
from flwr_gan.gan.weights import network_arrays
from flwr_gan.methods import TrainedGan
from flwr_gan.methods.chain import channel_counts, cut, links_of, norms_of, widen, with_maps
from flwr_gan.methods.slimming import ScaledGenerator, Slimming, kept_by_scale
from flwr_gan.wire import save
from tests.methods.small_gans import assert_leaves_the_gan_and_repeats
from tests.methods.tiny_gans import same_arrays, seeded, tiny_gan


def normed_gan():
    """Return a GAN for 8 x 8 pixels of three classes whose generator has normalisation layers."""
    config = GanConfig(network="images", norm="instance", depth=8, latent_dim=4, batch_size=8,
                       critic_iterations=1, critic_gradients="autograd")  # fmt: skip
    generator, critic = build_networks(
        config, num_vectors=16, num_components=16, num_classes=3, seed=0
    )
    for norm in norms_of(generator):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5, seeded(1))
        torch.nn.init.normal_(norm.bias, 0, 0.2, seeded(2))
    rng = np.random.default_rng(0)
    x_NTC = rng.uniform(-1, 1, (24, 16, 16)).astype(np.float32)
    return TrainedGan(
        generator=generator, critic=critic, x_NTC=x_NTC, y_N=rng.integers(3, size=24), config=config
    )


GANS = {"vectors": tiny_gan, "depth": lambda: tiny_gan("depth"), "normed": normed_gan}


@pytest.fixture(params=GANS)
def any_gan(request):
    return GANS[request.param]()


def latents(generator, count=5):
    return torch.randn(count, generator.latent_dim, generator=seeded(8)), torch.arange(count) % 3


def test_each_channel_of_each_image_is_normalised_by_itself():
    generator = normed_gan().generator
    given = latents(generator)
    took = []
    generator.layers[0].register_forward_hook(lambda layer, x, y: took.append(y))
    _, maps = with_maps(generator, *given)
    h = took[0].detach().double().numpy().reshape(5, -1, 16)
    mean, spread = h.mean(axis=2, keepdims=True), h.var(axis=2, keepdims=True)
    scale, shift = links_of(generator)[0].norm_2O[:, :, None]  # Ulyanov et al., 2016
    expected = np.maximum((h - mean) / np.sqrt(spread + 1e-5) * scale + shift, 0)
    np.testing.assert_allclose(maps[0].detach().numpy(), expected, atol=1e-4)
    assert not norms_of(tiny_gan("depth").generator)


def test_a_normalised_generator_is_cut_widened_and_read_from_a_file(tmp_path):
    generator = normed_gan().generator
    given = latents(generator)
    kept = [np.arange(0, count, 2) for count in channel_counts(generator)]
    small = cut(generator, kept)
    with torch.no_grad():
        for norm, stay in zip(norms_of(generator), kept, strict=True):
            gone = np.setdiff1d(np.arange(len(norm.weight)), stay)
            norm.weight[gone] = 0
            norm.bias[gone] = 0
    torch.testing.assert_close(small(*given), generator(*given))
    wide = widen(small, channel_counts(generator), seed=3)
    torch.testing.assert_close(wide(*given), small(*given))
    GeneratorInfo(
        latent_dim=4, classes=("a", "b", "c"), kind="image", arrays=tuple(network_arrays(small))
    ).write(tmp_path)
    save(tmp_path / "g.fgan", network_arrays(small), codec="sparse")
    read = load_generator(tmp_path / "g.fgan")
    assert same_arrays(read, small)
    assert torch.equal(read(*given), small(*given))


def test_scales_fold_into_the_generator(any_gan):
    scaled = ScaledGenerator(any_gan.generator)
    given = latents(any_gan.generator)
    assert torch.equal(scaled(*given), any_gan.generator(*given))
    assert [len(size) for size in scaled.sizes()] == list(channel_counts(any_gan.generator))
    with torch.no_grad():
        for scale_H in scaled.scales:
            scale_H.mul_(torch.randn(len(scale_H), generator=seeded(4)))
    assert not torch.equal(scaled(*given), any_gan.generator(*given))
    folded = scaled.folded()
    assert type(folded) is type(any_gan.generator)
    torch.testing.assert_close(folded(*given), scaled(*given))


def test_the_smallest_scales_of_all_layers_go_but_the_largest_of_each_stays():
    sizes = [np.array([0.5, 0.1, 0.9], np.float32), np.array([0.02, 0.01], np.float32)]
    assert [kept.tolist() for kept in kept_by_scale(sizes, 0.4)] == [[0, 2], [0]]
    assert [kept.tolist() for kept in kept_by_scale(sizes, 0.2)] == [[0, 1, 2], [0]]
    assert [kept.tolist() for kept in kept_by_scale(sizes, 0.9)] == [[2], [0]]
    with pytest.raises(ConfigError, match=r"method\.fraction=0\.01"):
        kept_by_scale(sizes, 0.01)


def test_scales_shrink_and_a_share_of_the_channels_goes(any_gan):
    counts = channel_counts(any_gan.generator)
    before = network_arrays(any_gan.generator) | network_arrays(any_gan.critic)
    method = Slimming(fraction=0.5, scope="global", sparsity=0.1)
    made, again = (method.compress(any_gan, iterations=4, rng=seeded(1)) for _ in range(2))
    assert same_arrays(made, again)
    assert sum(channel_counts(made)) == sum(counts) - round(0.5 * sum(counts))
    assert all(0 < now <= then for now, then in zip(channel_counts(made), counts, strict=True))
    after = network_arrays(any_gan.generator) | network_arrays(any_gan.critic)
    assert all(np.array_equal(array, after[name]) for name, array in before.items())
    with pytest.raises(ConfigError, match=r"method\.scope='global'.* give local"):
        method.student(any_gan.generator)


def test_by_layer_the_form_is_known_before(any_gan, monkeypatch):
    method = Slimming(fraction=0.4)
    made = assert_leaves_the_gan_and_repeats(method, any_gan)
    counts = channel_counts(any_gan.generator)
    assert channel_counts(made) == tuple(count - round(0.4 * count) for count in counts)
    falling = [np.arange(count, 0, -1, dtype=np.float32) for count in counts]
    monkeypatch.setattr(ScaledGenerator, "sizes", lambda self: falling)
    untrained = method.compress(any_gan, iterations=0, rng=seeded())
    first = cut(any_gan.generator, [np.arange(count) for count in channel_counts(made)])
    assert same_arrays(untrained, first)


@pytest.mark.long
def test_a_strong_penalty_alone_takes_the_scales_towards_zero(monkeypatch):
    gan = tiny_gan()
    gan = replace(gan, config=replace(gan.config, generator_lr=0.02))
    found = {}
    folded = ScaledGenerator.folded

    def kept(self):
        found[strength] = np.concatenate(self.sizes()).mean()
        return folded(self)

    monkeypatch.setattr(ScaledGenerator, "folded", kept)
    for strength in (0.0, 10.0):
        Slimming(sparsity=strength, distance=0.0).compress(gan, iterations=60, rng=seeded())
    assert found[10.0] < 0.5 < found[0.0]


def test_vectors_have_no_normalisation():
    with pytest.raises(ConfigError, match=r"gan\.norm='instance' .*gan\.network=images"):
        GanConfig(norm="instance")
    plain = DepthGenerator((4, 2), num_classes=3, latent_dim=4, seed=1)
    normed = DepthGenerator((4, 2), num_classes=3, latent_dim=4, norm=True, seed=1)
    assert set(network_arrays(normed)) - set(network_arrays(plain)) == {
        f"norms.{at}.{name}" for at in range(2) for name in ("weight", "bias")
    }
