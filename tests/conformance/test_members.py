"""The matrix finds its strategies in flwr, and wants a recipe for each."""

import pytest

from flwr_gan.errors import ConfigError
from tests.conformance.strategies import APIS, exported, recipe
from tests.conformance.tables import strategy_rows


@pytest.mark.parametrize(
    ("api", "name"), [(api, name) for api in APIS for name in exported(api)], ids=str
)
def test_every_exported_strategy_has_a_recipe(api, name):
    recipe(api, name)


@pytest.mark.parametrize("api", APIS)
def test_all_that_flwr_exports_is_found_but_for_what_is_no_strategy(api):
    found, listed = set(exported(api)), set(APIS[api].__all__)
    assert listed - found <= {"Strategy", "Result"}


@pytest.mark.parametrize("api", APIS)
def test_each_strategy_trains_its_natural_model_and_one_with_batchnorm(api):
    rows = [row.label for row in strategy_rows(api)]
    assert all(rows.count(name) == 2 for name in exported(api))


@pytest.mark.parametrize("api", APIS)
def test_a_strategy_that_flwr_adds_asks_for_a_recipe(api, monkeypatch):
    module = APIS[api]
    monkeypatch.setattr(module, "FedNew", type("FedNew", (module.FedAvg,), {}), raising=False)
    monkeypatch.setattr(module, "__all__", [*module.__all__, "FedNew"])
    with pytest.raises(ConfigError, match="exports FedNew, which has no recipe: add one"):
        strategy_rows(api)
