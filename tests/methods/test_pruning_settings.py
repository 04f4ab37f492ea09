"""The yaml of each pruning method names its class and gives exactly the class's own defaults."""

from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
import yaml

from flwr_gan.methods import Method

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "method"


@pytest.mark.parametrize(
    "name", ["channels", "channels_evolutionary", "sparse_training", "train_expand_prune"]
)
def test_yaml_gives_the_defaults(name):
    settings = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    module, _, target = settings.pop("_target_").rpartition(".")
    made_by = getattr(import_module(module), target)
    assert settings == {key: p.default for key, p in signature(made_by).parameters.items()}
    assert isinstance(made_by(**settings), Method)
