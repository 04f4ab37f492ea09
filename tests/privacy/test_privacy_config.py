"""The privacy settings: checked, and every mistake is one line."""

import pytest

from flwr_gan.app.config import load_config
from flwr_gan.app.federation import load_federation
from flwr_gan.errors import ConfigError
from flwr_gan.privacy import PrivacyConfig


def test_no_privacy_by_default():
    assert load_config().privacy is None


def test_dp_critic():
    assert load_config(["privacy=dp_critic", "privacy.clip=0.5"]).privacy == PrivacyConfig(
        noise_multiplier=1.0, clip=0.5
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["privacy.noise_multiplier=-1"], r"privacy\.noise_multiplier=-1"),
        (["privacy.clip=0"], r"privacy\.clip=0"),
        (["privacy.delta=1"], r"privacy\.delta=1"),
        (["privacy.label_noise=0"], r"privacy\.label_noise=0"),
        (["privacy.clip=much"], r"privacy\.clip='much'"),
        (["privacy.target_epsilon=3"], "set one of them"),
        (["privacy.noise_multiplier=null"], "set one of them"),
        (["privacy.nois_multiplier=1"], "noise_multiplier"),
        (["evaluation=clients"], "evaluation=clients"),
        (["gan.fresh_batch=false"], "fresh_batch"),
        (["method=channels", "strategy=generator_pool"], r"method\._target_="),
    ],
)
def test_a_mistake_is_one_line_that_names_it(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(["privacy=dp_critic", *overrides])
    assert "\n" not in str(caught.value)


def test_delta_is_held_against_the_largest_client():
    with pytest.raises(ConfigError, match=r"privacy\.delta=0\.01 .* give less than"):
        load_federation("privacy=dp_critic privacy.delta=0.01 output_dir=/nowhere")


@pytest.mark.long
def test_a_target_that_no_noise_keeps_is_refused_before_training():
    with pytest.raises(ConfigError, match=r"privacy\.target_epsilon=0\.01 cannot be kept") as error:
        load_federation(
            "privacy=dp_critic privacy.noise_multiplier=null privacy.target_epsilon=0.01 "
            "output_dir=/nowhere"
        )
    assert "\n" not in str(error.value)


def test_planned_steps_are_those_of_all_rounds_and_levels():
    federation = load_federation(
        "privacy=dp_critic output_dir=/nowhere gan.critic_iterations=5 gan.iterations=7 "
        "gan.local_iterations=3 lottery.iterations=2 strategy.rounds_per_level=4"
    )
    assert federation.planned_rounds == 12
    assert federation.planned_critic_steps(ticket=False) == 12 * 3 * 5
    pool = load_federation(
        "privacy=dp_critic output_dir=/nowhere gan.critic_iterations=5 gan.iterations=7 "
        "lottery.iterations=2 strategy=generator_pool"
    )
    assert pool.planned_critic_steps(ticket=True) == 3 * 7 * 5
