"""When numba's loops are taken: once they would have paid for their import, if they are there."""

import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest

import flwr_gan.wire.codecs
from flwr_gan.wire import decode_payload, encode_payload
from flwr_gan.wire.codecs import compiled


@pytest.fixture
def beginning(monkeypatch):
    """Begin as a process that has coded nothing yet and has not imported numba."""
    monkeypatch.setattr(compiled, "_state", compiled._State())
    monkeypatch.delitem(sys.modules, "numba", raising=False)


@pytest.mark.usefixtures("beginning")
def test_numpy_begins_and_numba_goes_on():
    pytest.importorskip("flwr_gan.wire.codecs.kernels", reason="numba is not installed")
    sys.modules.pop("numba", None)
    assert compiled.kernels() is None
    compiled._state.spent_s = 0.99 * compiled.IMPORT_S
    assert compiled.kernels() is None
    compiled._state.spent_s = compiled.IMPORT_S
    assert compiled.kernels().__name__ == "flwr_gan.wire.codecs.kernels"
    with compiled.without_numba():
        assert compiled.kernels() is None
    assert compiled.kernels() is not None


@pytest.mark.usefixtures("beginning")
def test_numba_that_is_there_already_is_taken_at_once():
    numba = pytest.importorskip("numba", reason="numba is not installed")
    sys.modules["numba"] = numba
    assert compiled.kernels() is not None


@pytest.mark.usefixtures("beginning")
def test_without_numba_numpy_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr_gan.wire.codecs.kernels", None)
    monkeypatch.delattr(flwr_gan.wire.codecs, "kernels", raising=False)
    compiled._state.spent_s = 2 * compiled.IMPORT_S
    assert compiled.kernels() is None
    assert not compiled.load()
    weights = {"w": np.random.default_rng(0).binomial(9, 0.3, 5000).astype(np.float32)}
    assert np.array_equal(decode_payload(encode_payload(weights))["w"], weights["w"])


@pytest.mark.usefixtures("beginning")
def test_time_is_added_up():
    for _ in range(2):
        with compiled.slow_part():
            time.sleep(0.01)
    assert 0.02 <= compiled._state.spent_s < 1
    with suppress(KeyError), compiled.slow_part():
        time.sleep(0.01)
        raise KeyError
    assert compiled._state.spent_s >= 0.03


def test_a_small_payload_does_not_import_numba():
    code = (
        "import sys, numpy as np; from flwr_gan.wire import encode_payload, decode_payload; "
        "decode_payload(encode_payload({'w': np.eye(99, dtype='f4')}, codec='sparse:int8')); "
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
