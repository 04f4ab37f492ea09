"""Images in colour: for image networks; all others refuse them at once."""

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from flwr_gan.app.federation import load_federation
from flwr_gan.app.fgan.compare import compare
from flwr_gan.app.fgan.sample import write_samples
from flwr_gan.app.fgan.torch_files import write_onnx
from flwr_gan.app.generator_file import load_generator
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks, sample
from tests.conftest import IMAGES

pytestmark = pytest.mark.usefixtures("quick_judge")


@pytest.mark.parametrize("also", ["", "experiment=one_shot", "strategy=fedavg federation.rounds=1"])
def test_networks_for_vectors_refuse_images_in_colour(also):
    with pytest.raises(ConfigError) as info:
        load_federation(f"data=textures data.patches=8 {also}")
    assert str(info.value) == (
        "gan.network=vectors is not for images in colour, and samples are 32 x 32 x 3: give "
        "gan=wdcgan, sngan or dcgan, or data.channels=1 where the data set has that setting"
    )


def test_the_same_images_in_grey_are_not():
    federation = load_federation("data=textures data.patches=8 data.channels=1 data.size=8")
    assert federation.dataset.form == "8 x 8"


def test_no_file_is_written_for_a_run_that_is_refused(simulate, tmp_path):
    with pytest.raises(ConfigError, match="not for images in colour"):
        simulate("data=textures data.patches=8")
    assert not list(tmp_path.iterdir())


def test_a_training_refuses_them_too():
    config = GanConfig(channels=(4, 4), critic_hidden=(4, 4))
    shape = {"num_vectors": 8, "num_components": 8, "num_classes": 2}
    trainer = WganGpTrainer(*build_networks(config, **shape, seed=0), config=config)
    with pytest.raises(DataError, match=r"shapes \(4, 8, 8, 3\) and \(4,\): \(N, 8, 8\)"):
        trainer.train(
            np.zeros((4, 8, 8, 3), np.float32), np.zeros(4, np.int64), rng=torch.Generator()
        )


@pytest.mark.long
@pytest.mark.parametrize(
    ("gan", "conditional"),
    [
        ("sngan", "true"),
        ("wdcgan", "false"),
        ("dcgan", "true"),
        pytest.param("sngan", "false", marks=pytest.mark.slow),
        pytest.param("wdcgan", "true", marks=pytest.mark.slow),
        pytest.param("dcgan", "false", marks=pytest.mark.slow),
    ],
)
def test_image_networks_train_on_them(simulate, tmp_path, gan, conditional):
    settings = f"gan={gan} gan.conditional={conditional}"
    folder = simulate(f"{IMAGES} {settings} lottery.iterations=2", pictures=True)
    rounds = pd.read_csv(folder / "rounds.csv")
    assert len(rounds) == 3
    assert rounds["sparsity"].iloc[-1] == pytest.approx(1 - 0.65**2, abs=0.01)
    assert ("synthetic_accuracy" in rounds) == (conditional == "true")
    assert rounds["frechet_distance"].notna().all()
    picture = plt.imread(folder / "samples.png")
    colours = picture[..., :3].std(axis=2)
    assert colours.max() > 0.1, "the picture is in colour"
    generator = load_generator(folder)
    assert sample(generator, np.zeros(2, np.int64), rng=torch.Generator()).shape == (2, 8, 8, 3)
    if gan == "sngan":
        lines = compare(folder, folder, tmp_path / "compare.png")
        assert any(line.startswith("frechet distance") for line in lines)
        assert any("conditional accuracy" in line for line in lines) == (conditional == "true")
        npz = tmp_path / "samples.npz"
        assert write_samples(folder, npz, count=2)[1:] == (8, 8, 3)
        write_onnx(tmp_path / "generator.onnx", generator)
        session = onnxruntime.InferenceSession(tmp_path / "generator.onnx")
        z, y = torch.randn(3, generator.latent_dim), torch.zeros(3, dtype=torch.int64)
        given = {"latent": z.numpy(), "label": y.numpy()}
        names = {found.name for found in session.get_inputs()}
        (made,) = session.run(None, {n: a for n, a in given.items() if n in names})
        np.testing.assert_allclose(made, generator(z, y).detach().numpy(), atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        "strategy=generator_pool gan.iterations=1 lottery.iterations=1",
        "strategy=generator_pool gan.iterations=2 lottery.iterations=1 method=channels gan.depth=2",
        "strategy=masked_fedavg regeneration=rg federation.rounds=1",
        "strategy=fedbuff federation.rounds=1 lottery.iterations=0",
        "strategy=fedavg federation.rounds=1 evaluation=clients lottery.iterations=0",
        "strategy=distilled_pool strategy.iterations=3 gan.iterations=1 lottery.iterations=1",
        "strategy=fedavg federation.rounds=1 codec=sparse:int4 lottery.iterations=0",
        "privacy=dp_critic strategy=fedavg federation.rounds=1 privacy.noise_multiplier=1",
    ],
)
def test_so_they_do_with_every_strategy_and_method(simulate, settings):
    folder = simulate(f"{IMAGES} gan=wdcgan {settings}")
    assert len(pd.read_csv(folder / "rounds.csv")) == 1


def test_what_needs_classes_is_named():
    unconditional = "data=textures data.patches=16 gan=wdcgan gan.conditional=false"
    for settings, message in (
        ("target=synthetic_accuracy:0.9", "target=synthetic_accuracy:0.9 needs a generator with"),
        ("drift=style", "drift needs a generator with"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_federation(f"{unconditional} {settings}")
    with pytest.raises(ConfigError, match=r"gan\.loss=hinge has no clipped gradients"):
        load_federation("data=textures data.patches=16 gan=sngan privacy=dp_critic")
