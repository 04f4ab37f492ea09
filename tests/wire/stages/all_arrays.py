"""What tests of stages share: payloads of small arrays, what a receiver gets, its error."""

from functools import partial

import numpy as np

from flwr_gan import wire
from flwr_gan.wire.stages import get_stage

# A lossy codec serves every finite array, so that tests can be small.
encode_payload = partial(wire.encode_payload, lossy="all")


def received(spec, array):
    stage = get_stage(spec)
    return stage.decode(stage.encode(array)[0])


def mse(got, array):
    return float(np.mean((got.astype(np.float64) - array) ** 2))
