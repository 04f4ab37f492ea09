"""What each method allows, and that its yaml names its class and its settings."""

from inspect import signature

import pytest
import yaml
from hydra.utils import instantiate

from flwr_gan.app.overrides import config_dir
from flwr_gan.errors import ConfigError
from flwr_gan.methods import Method
from flwr_gan.methods.channels import ChannelPruning
from flwr_gan.methods.codebook_tuning import CodebookTuning
from flwr_gan.methods.distillation_losses import TERMS
from flwr_gan.methods.distillation_method import Distillation
from flwr_gan.methods.evolutionary_channels import EvolutionaryChannels
from flwr_gan.methods.expansion import TrainExpandPrune
from flwr_gan.methods.factored import Factored
from flwr_gan.methods.sparse_training import SparseTraining
from flwr_gan.methods.straight_through import StraightThrough
from flwr_gan.methods.two_critics import CRITIC_TERMS, GENERATOR_TERMS, TwoCriticDistillation

YAMLS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((config_dir() / "method").glob("*.yaml"))
}


@pytest.mark.parametrize("name", sorted(set(YAMLS) - {"none"}))
def test_every_yaml_builds_a_method_and_names_every_setting(name):
    settings = dict(YAMLS[name])
    made = instantiate(settings, _convert_="all")
    assert isinstance(made, Method)
    settings.pop("_target_")
    assert set(settings) == set(signature(type(made)).parameters)


@pytest.mark.parametrize(
    "name", ["channels", "channels_evolutionary", "sparse_training", "train_expand_prune"]
)
def test_yaml_gives_the_defaults(name):
    settings = dict(YAMLS[name])
    made_by = type(instantiate(dict(settings)))
    settings.pop("_target_")
    assert settings == {key: p.default for key, p in signature(made_by).parameters.items()}


def test_the_yamls_of_distillation_name_every_term():
    assert set(YAMLS["distillation"]["losses"]) == set(TERMS)
    assert repr(instantiate(dict(YAMLS["distillation"]), _convert_="all")) == repr(Distillation())
    two = YAMLS["distillation_two_critics"]
    assert two["losses"] == dict.fromkeys(GENERATOR_TERMS, 1.0)
    assert two["critic_losses"] == dict.fromkeys(CRITIC_TERMS, 1.0)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (
            ChannelPruning,
            {"criterion": "size"},
            "method.criterion='size' .* magnitude or random or similarity",
        ),
        (ChannelPruning, {"fraction": 1.0}, "method.fraction=1.0 .* above 0 and below 1"),
        (ChannelPruning, {"fraction": True}, "method.fraction=True .* above 0 and below 1"),
        (ChannelPruning, {"absorb": "yes"}, "method.absorb='yes' .* true or false"),
        (ChannelPruning, {"samples": 0}, "method.samples=0 .* at least 1"),
        (CodebookTuning, {"size": 1}, "method.size=1 .* from 2 to 256"),
        (CodebookTuning, {"size": 257}, "method.size=257 .* from 2 to 256"),
        (CodebookTuning, {"size": 8.0}, "method.size=8.0 "),
        (CodebookTuning, {"size": True}, "method.size=True "),
        (CodebookTuning, {"scope": "channel"}, "method.scope='channel' .* layer or network"),
        (Distillation, {"width": 0}, "width=0"),
        (Distillation, {"width": 1.5}, r"width=1\.5"),
        (Distillation, {"depth": 0}, "depth=0"),
        (Distillation, {"inherit": 1}, "inherit=1"),
        (Distillation, {"learning_rate": "fast"}, "learning_rate='fast'"),
        (Distillation, {"batch_size": 1.5}, r"batch_size=1\.5"),
        (Distillation, {"losses": {"features_": 1}}, "nearest: features"),
        (EvolutionaryChannels, {"fraction": 0}, "method.fraction=0 .* above 0 and below 1"),
        (
            EvolutionaryChannels,
            {"layer_counts": "any"},
            "method.layer_counts='any' .* fixed or free",
        ),
        (EvolutionaryChannels, {"population": 1}, "method.population=1 .* at least 2"),
        (EvolutionaryChannels, {"generations": -1}, "method.generations=-1 .* at least 0"),
        (EvolutionaryChannels, {"mutation": 1.5}, "method.mutation=1.5 .* below 1"),
        (EvolutionaryChannels, {"elite": 24}, "method.elite=24 .* less than method.population=24"),
        (EvolutionaryChannels, {"distance_weight": -1}, "method.distance_weight=-1 .* at least 0"),
        (EvolutionaryChannels, {"samples": 1.5}, "method.samples=1.5 .* at least 2"),
        (TrainExpandPrune, {"fraction": 1.2}, "method.fraction=1.2 .* below 1"),
        (TrainExpandPrune, {"seed_fraction": 0}, "method.seed_fraction=0 .* below 1"),
        (TrainExpandPrune, {"expansions": 0}, "method.expansions=0 .* at least 1"),
        (TrainExpandPrune, {"seed_share": 0}, "method.seed_share=0 .* below 1"),
        (
            TrainExpandPrune,
            {"wide_share": 0.6},
            "method.wide_share=0.6 .* less than 1 - method.seed_share=0.4",
        ),
        (TrainExpandPrune, {"absorb": 1}, "method.absorb=1 .* true or false"),
        (TrainExpandPrune, {"samples": 0}, "method.samples=0 .* at least 1"),
        (Factored, {}, "method.rank=None and method.energy=None .* give one of them"),
        (Factored, {"rank": 3, "energy": 0.5}, "method.rank=3 and method.energy=0.5 "),
        (Factored, {"rank": 0}, "method.rank=0 .* from 1 to 1024"),
        (Factored, {"rank": 2000}, "method.rank=2000 .* from 1 to 1024"),
        (Factored, {"rank": 2.0}, "method.rank=2.0 "),
        (Factored, {"energy": 1.0}, "method.energy=1.0 .* 0.0001 to 0.9999"),
        (Factored, {"energy": 0.12345}, "method.energy=0.12345 .* at most 4 decimals"),
        (SparseTraining, {"fraction": float("nan")}, "method.fraction=nan .* above 0 and below 1"),
        (
            SparseTraining,
            {"criterion": "similarity"},
            "method.criterion='similarity' .* magnitude or random",
        ),
        (SparseTraining, {"scope": "layer"}, "method.scope='layer' .* global or local"),
        (
            SparseTraining,
            {"schedule": "once"},
            "method.schedule='once' .* one_shot or iterative or gradual",
        ),
        (SparseTraining, {"steps": 0}, "method.steps=0 .* at least 1"),
        (SparseTraining, {"every": 2.5}, "method.every=2.5 .* at least 1"),
        (SparseTraining, {"until": 1}, "method.until=1 .* below 1"),
        (
            SparseTraining,
            {"module": "teacher"},
            "method.module='teacher' .* generator or critic or both",
        ),
        (SparseTraining, {"min_kept_per_layer": 0}, "method.min_kept_per_layer=0 .* at least 1"),
        (
            StraightThrough,
            {"stage": "quantise:int4"},
            "method.stage='quantise:int4' .* did you mean 'quantize'",
        ),
        (
            StraightThrough,
            {"stage": "quantize:int9"},
            "method.stage='quantize:int9' .*allowed: int8, int7",
        ),
        (StraightThrough, {"stage": "sparse"}, "method.stage='sparse' .*allowed: quantize"),
        (StraightThrough, {"stage": "quantize:int4+sparse"}, "unknown stage 'sparse'"),
        (StraightThrough, {"stage": ""}, "method.stage='' "),
        (StraightThrough, {"stage": "binary", "critic": "int"}, "method.critic='int' .*unknown"),
        (StraightThrough, {"stage": "binary", "activations": 9}, "method.activations=9 .* 8"),
        (StraightThrough, {"stage": None}, "method.stage=None .*such as quantize:int4"),
        (
            StraightThrough,
            {"stage": "binary", "refresh_every": 0},
            "method.refresh_every=0 .* at least 1",
        ),
        (StraightThrough, {"stage": "binary", "refresh_every": 1.5}, "method.refresh_every=1.5 "),
        (TwoCriticDistillation, {"critic_width": 0}, "critic_width=0"),
        (TwoCriticDistillation, {"width": 2}, "width=2"),
        (
            TwoCriticDistillation,
            {"losses": {"class": 1}},
            r"losses\.class is unknown: allowed are pixel, perceptual",
        ),
        (
            TwoCriticDistillation,
            {"critic_losses": {"pixel": 1}},
            r"critic_losses\.pixel is unknown",
        ),
        (TwoCriticDistillation, {"critic_losses": {"triplet": -1}}, r"critic_losses\.triplet=-1"),
        (TwoCriticDistillation, {"losses": {"pixel": 0}}, "a weight above 0"),
    ],
)
def test_wrong_settings_are_named(method, settings, message):
    with pytest.raises(ConfigError, match=message):
        method(**settings)
