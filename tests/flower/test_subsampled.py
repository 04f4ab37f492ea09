"""Random changes under SecAgg+: the sum of what is masked moves the same weights of all clients."""

from itertools import pairwise

import numpy as np
import pytest
from flwr.app import Context
from flwr.client.mod import secaggplus_mod
from flwr.common import parameters_to_ndarrays
from flwr.server import LegacyContext, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.serverapp import Grid, ServerApp

from flwr_gan.engine import run_apps
from flwr_gan.errors import CodecError
from flwr_gan.flower import Subsampled, SubsampledMod
from tests.flower.foreign import legacy

ROUNDS, SHARE = 3, 0.25


class Kept(FedAvg):
    """FedAvg that keeps what each round ends with."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.ended = [parameters_to_ndarrays(self.initial_parameters)]

    def aggregate_fit(self, server_round, results, failures):
        parameters, metrics = super().aggregate_fit(server_round, results, failures)
        self.ended.append(parameters_to_ndarrays(parameters))
        return parameters, metrics


def run(mods, wrap, workflow):
    inner = Kept(initial_parameters=legacy.make_fedavg().initial_parameters, fraction_evaluate=0.0)
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        legacy_context = LegacyContext(
            context=context, config=ServerConfig(num_rounds=ROUNDS), strategy=wrap(inner)
        )
        DefaultWorkflow(fit_workflow=workflow)(grid, legacy_context)

    run_apps(app, legacy.client_app(mods), num_supernodes=3, run_config={})
    return inner.ended


def secagg():
    return SecAggPlusWorkflow(num_shares=3, reconstruction_threshold=2)


def test_the_masked_sum_is_the_mean_of_the_drawn_changes():
    masked = run(
        [secaggplus_mod, SubsampledMod(SHARE)], lambda inner: Subsampled(inner, SHARE), secagg()
    )
    plain = run([SubsampledMod(SHARE)], lambda inner: Subsampled(inner, SHARE), None)
    assert len(masked) == len(plain) == ROUNDS + 1
    # SecAgg+ rounds to 2**22 levels from -8 to 8; from then on other weights are drawn.
    first = zip(masked[1], plain[1], strict=True)
    assert all(np.allclose(a, b, atol=5e-4) for a, b in first)
    for before, after in pairwise(masked):
        for a, b in zip(before, after, strict=True):
            if a.ndim > 1:
                assert np.count_nonzero(np.abs(a - b) > 1e-6) <= round(SHARE * a.size) + 1


def test_what_was_not_drawn_comes_later():
    whole = run([], lambda inner: inner, None)
    drawn = run([SubsampledMod(0.9)], lambda inner: Subsampled(inner, 0.9), None)
    far = [np.linalg.norm(a - b) for a, b in zip(whole[-1], drawn[-1], strict=True)]
    moved = [np.linalg.norm(a - b) for a, b in zip(whole[-1], whole[0], strict=True)]
    assert max(far) < 0.5 * max(moved)


def test_bad_uses_are_explained():
    with pytest.raises(CodecError, match="allowed: randk"):
        SubsampledMod(1.5)
    with pytest.raises(TypeError, match=r"flwr\.server strategy"):
        Subsampled(object(), 0.1)
