"""Mods beside ``compression_mod``: which orders work, and what the others say."""

import numpy as np
import pytest
from flwr.app import Context
from flwr.client.mod import arrays_size_mod, message_size_mod, secaggplus_mod
from flwr.clientapp.mod import LocalDpMod
from flwr.common import bytes_to_ndarray, parameters_to_ndarrays
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import Grid, ServerApp

from flwr_gan.engine import run_apps
from flwr_gan.flower import CompressedStrategy, compression_mod
from tests.flower.foreign import legacy

RIGHT = "list compression_mod first in the client's mods"


def wrapped(**settings) -> CompressedStrategy:
    initial = legacy.make_fedavg().initial_parameters
    return CompressedStrategy(
        FedAvg(initial_parameters=initial, fraction_evaluate=0.0, **settings), codec="sparse"
    )


@pytest.mark.parametrize("mod", [arrays_size_mod, message_size_mod])
@pytest.mark.parametrize("first", [True, False])
def test_mods_that_count_stand_on_either_side(mod, first):
    strategy = wrapped()
    mods = [mod, compression_mod] if first else [compression_mod, mod]
    run_apps(legacy.server_app(strategy), legacy.client_app(mods), num_supernodes=3, run_config={})
    assert not any(strategy.failures.values())


def test_a_mod_that_reads_arrays_outside_is_told_the_right_order():
    strategy = wrapped()
    mods = [LocalDpMod(1.0, 1.0, 1.0, 1e-5), compression_mod]
    run_apps(legacy.server_app(strategy), legacy.client_app(mods), num_supernodes=3, run_config={})
    assert len(strategy.failures[1]) == 3
    assert all(RIGHT in reason for reason in strategy.failures[1]), strategy.failures


@pytest.mark.parametrize("first", [True, False])
def test_secagg_goes_through_with_a_warning(first, caplog):
    """Masked sums cannot be compressed, so what SecAgg+ sends does not pass the wire."""

    def run_workflow(strategy, mods):
        kept, app = [], ServerApp()

        @app.main()
        def main(grid: Grid, context: Context) -> None:
            legacy_context = LegacyContext(
                context=context, config=ServerConfig(num_rounds=2), strategy=strategy
            )
            workflow = DefaultWorkflow(
                fit_workflow=SecAggPlusWorkflow(num_shares=3, reconstruction_threshold=2)
            )
            workflow(grid, legacy_context)
            record = legacy_context.state.array_records["parameters"]
            kept.append([array.data for array in record.values()])

        run_apps(app, legacy.client_app(mods), num_supernodes=3, run_config={})
        return kept[0]

    strategy = wrapped()
    mods = [compression_mod, secaggplus_mod] if first else [secaggplus_mod, compression_mod]
    coded = run_workflow(strategy, mods)
    assert "cannot be compressed" in caplog.text
    assert strategy.ledger.rows == []
    initial = parameters_to_ndarrays(strategy.inner.initial_parameters or
                                     legacy.make_fedavg().initial_parameters)  # fmt: skip
    final = [bytes_to_ndarray(data) for data in coded]
    assert any(not np.allclose(a, b) for a, b in zip(initial, final, strict=True))
