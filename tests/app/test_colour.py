"""Images in colour: the networks of ``gan`` make one channel, so every run refuses them at once."""

import numpy as np
import pytest
import torch

from flwr_gan.app.federation import load_federation
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.gan import GanConfig, WganGpTrainer, build_networks


@pytest.mark.parametrize("also", ["", "experiment=one_shot", "strategy=fedavg federation.rounds=1"])
def test_a_run_on_images_in_colour_is_refused(also):
    with pytest.raises(ConfigError) as info:
        load_federation(f"data=textures data.patches=8 {also}")
    assert str(info.value) == (
        "data: the samples of textures are 32 x 32 x 3, and the networks of gan make images of one "
        "channel: give data.channels=1 where the data set has that setting, or another data set"
    )


def test_the_same_images_in_grey_are_not():
    federation = load_federation("data=textures data.patches=8 data.channels=1 data.size=8")
    assert federation.dataset.form == "8 x 8"


def test_no_file_is_written_for_a_run_that_is_refused(simulate, tmp_path):
    with pytest.raises(ConfigError, match="of one channel"):
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
