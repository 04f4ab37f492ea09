"""Small trained GANs of both families, one of each kind for a whole file of tests."""

import pytest

from flwr_gan.gan import torch_threads
from tests.methods.small_gans import image_gan, stroke_gan


@pytest.fixture
def one_thread():
    """Compute with one thread."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def strokes():
    """Return a GAN of dense and convolution layers."""
    return stroke_gan()


@pytest.fixture(scope="module")
def images():
    """Return a GAN of transposed convolutions."""
    return image_gan()


@pytest.fixture(params=["strokes", "images"])
def gan(request):
    """Return first the one, then the other."""
    return request.getfixturevalue(request.param)
