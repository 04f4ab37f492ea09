"""The mean of weights that not every client keeps."""

import numpy as np
import pytest
from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server.strategy import FedAvg

from flwr_gan.errors import ConfigError
from strategies import MaskedFedAvg
from strategies.masked_fedavg import masked_mean


def reply(weights, samples):
    arrays = [np.array(layer, np.float32) for layer in weights]
    return None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters(arrays), samples, {})


def averaged(strategy, replies):
    parameters, _ = strategy.aggregate_fit(1, replies, [])
    return parameters_to_ndarrays(parameters)


THREE = [
    reply([[1.0, 2.0, 0.0, 0.0], [[4.0]]], 10),
    reply([[3.0, 0.0, 5.0, 0.0], [[0.0]]], 30),
    reply([[5.0, 6.0, 0.0, 0.0], [[0.0]]], 20),
]


def test_a_weight_is_averaged_over_those_that_keep_it():
    first, second = averaged(MaskedFedAvg(quorum=0), THREE)
    np.testing.assert_allclose(first, [(10 + 90 + 100) / 60, (20 + 120) / 30, 5, 0])
    np.testing.assert_allclose(second, [[4]])


@pytest.mark.parametrize(
    ("quorum", "kept"), [(0.5, [1, 1, 1, 0]), (0.51, [1, 0, 0, 0]), (1, [1, 0, 0, 0])]
)
def test_a_weight_needs_a_quorum_of_samples(quorum, kept):
    first, second = averaged(MaskedFedAvg(quorum=quorum), THREE)
    assert (first != 0).tolist() == [bool(k) for k in kept]
    assert not second.any()


def test_where_masks_agree_it_is_fedavg():
    rng = np.random.default_rng(0)
    mask = rng.random((20, 7)) < 0.4
    replies = [reply([mask * rng.normal(size=(20, 7))], n) for n in (3, 9, 5)]
    for ours, theirs in zip(averaged(MaskedFedAvg(), replies), averaged(FedAvg(), replies),
                            strict=True):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        assert np.array_equal(ours != 0, mask)
        assert ours.dtype == np.float32


def test_one_client_is_looked_at_at_a_time():
    alive = []

    def uploads():
        for samples in (1, 2):
            alive.append(samples)
            yield [np.ones(3, np.float32)], samples

    np.testing.assert_array_equal(masked_mean(uploads(), quorum=1)[0], 1)
    assert alive == [1, 2]


def test_nothing_to_average_and_bad_settings():
    assert MaskedFedAvg().aggregate_fit(1, [], []) == (None, {})
    with pytest.raises(ConfigError, match=r"strategy.quorum=1.5"):
        MaskedFedAvg(quorum=1.5)
