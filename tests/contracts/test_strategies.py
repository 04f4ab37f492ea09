"""What every strategy of conf/strategy keeps to, before anything is trained."""

import numpy as np
import pytest
from flwr.common import parameters_to_ndarrays
from flwr.server.client_manager import SimpleClientManager

from flwr_gan.app.federation import load_federation
from flwr_gan.app.overrides import config_dir
from flwr_gan.app.strategy import build_strategy, num_rounds
from flwr_gan.core.tree import flatten, unflatten
from flwr_gan.errors import ConfigError
from flwr_gan.flower import CompressedStrategy
from flwr_gan.gan.weights import network_arrays

STRATEGIES = sorted(path.stem for path in (config_dir() / "strategy").glob("*.yaml"))
AVERAGING = (
    "fedavg", "fedprox", "sparse_fedavg", "masked_fedavg", "continual", "fedbuff", "fedasync",
)  # fmt: skip


@pytest.fixture(params=STRATEGIES)
def federation(request, tiny, tmp_path):
    rounds = "federation.rounds=1" if request.param in AVERAGING else ""
    return load_federation(f"{tiny} strategy={request.param} {rounds} output_dir={tmp_path}")


@pytest.fixture
def strategy(federation):
    return build_strategy(federation)


def test_it_is_a_legacy_strategy_that_says_what_it_is(strategy, federation):
    assert CompressedStrategy(strategy).inner is strategy
    assert repr(strategy).startswith(type(strategy).__name__)
    assert num_rounds(federation.config, strategy) >= 1


def test_it_starts_from_the_runs_generator_or_from_nothing(strategy, federation):
    first = strategy.initialize_parameters(SimpleClientManager())
    generator, _ = federation.networks(federation.config.seed)
    expected = [] if hasattr(strategy, "sample") else list(network_arrays(generator).values())
    found = parameters_to_ndarrays(first)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_reply_is_a_generator_of_the_form_that_clients_deliver(strategy, federation):
    template = strategy.reply_rules().template if hasattr(strategy, "reply_rules") else None
    if template is not None:
        delivered = network_arrays(federation.delivered())
        shapes = [spec.shape for spec in template.specs]
        assert shapes[: len(delivered)] == [array.shape for array in delivered.values()]


def test_its_state_goes_into_a_checkpoint_and_back(strategy, federation):
    if hasattr(strategy, "state_dict"):
        state, other = flatten(strategy.state_dict()), build_strategy(federation)
        other.load_state_dict(unflatten(state))
        again = flatten(other.state_dict())
        assert list(again) == list(state)
        assert all(np.array_equal(again[name], state[name]) for name in state)


def test_one_that_draws_samples_itself_has_none_before_training(strategy):
    if hasattr(strategy, "sample"):
        assert strategy.held_classes == []
        with pytest.raises(ConfigError, match="empty"):
            strategy.sample(np.array([0]), 0)


def test_it_takes_what_the_config_says_of_clients(strategy, federation):
    assert strategy.min_available_clients == federation.config.federation.num_clients
    assert strategy.fraction_evaluate == 0.0  # they are scored on the server
