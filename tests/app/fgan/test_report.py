"""``fgan inspect``: what it prints of a payload file."""

import contextlib
import re

import numpy as np
import pytest

from flwr_gan.app.fgan import main
from flwr_gan.app.fgan.report import report
from flwr_gan.errors import PayloadError
from flwr_gan.wire import Template, encode_payload, save
from flwr_gan.wire.header import seal
from tests.golden.cases import CASES, banded


@pytest.fixture(scope="module")
def ticket():
    """Return a small model as pruning leaves it, with a counter and a bias beside the weights."""
    rng = np.random.default_rng(7)
    fc, conv = rng.normal(size=(24, 16)), rng.normal(size=(8, 6, 3))
    arrays = {"fc": fc * (np.abs(fc) > 1.2), "conv": conv * (np.abs(conv) > 0.8)}
    found = {name: array.astype(np.float32) for name, array in arrays.items()}
    return found | {"bias": rng.normal(size=8).astype(np.float32), "steps": np.array(41)}


@pytest.mark.parametrize("spec", ["sparse", "sparse:int4", "zlib:3", "quantize:int8:channel+zstd"])
def test_report(tmp_path, capsys, ticket, spec):
    path = tmp_path / "g.fgan"
    save(path, ticket, codec=spec)
    assert main(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    for word in ("version   2", "fc", "24x16", "<f4", "ratio", "header"):
        assert word in printed
    if spec == "sparse":
        assert "sparse (lossless)" in printed
        assert "layered" in printed
        assert "bins" in printed


def test_report_of_a_payload_that_is_relative_to_a_base(tmp_path, capsys, ticket):
    path = tmp_path / "g.fgan"
    payload = encode_payload(ticket, base=ticket, base_use="values")
    path.write_bytes(payload)
    assert main(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "needs the values of" in printed
    assert "same" in printed
    assert "differences to the base" in printed


def test_values_that_did_not_change_are_told(tmp_path, capsys):
    rng = np.random.default_rng(0)
    held = {"w": rng.normal(size=(100, 100)).astype(np.float32)}
    new = {"w": held["w"].copy()}
    new["w"][:2, :5] += 0.5
    path = tmp_path / "g.fgan"
    path.write_bytes(encode_payload(new, base=held))
    assert main(["inspect", str(path)]) == 0
    assert "differences to the base where it changed, 10 of 10000" in capsys.readouterr().out


def test_report_without_a_template(tmp_path, capsys, ticket):
    path = tmp_path / "g.fgan"
    path.write_bytes(encode_payload(ticket, self_contained=False))
    assert main(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    assert Template.of(ticket).hash.hex() in printed
    assert "unknown" in printed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-5], "truncated or damaged"),
        (lambda data: b"GIF89a" + data, "no flwr_gan payload"),
        (lambda data: data[:3] + b"\x09" + data[4:], "version 9"),
    ],
)
def test_bad_files_end_with_one_line(tmp_path, capsys, ticket, change, said):
    path = tmp_path / "g.fgan"
    path.write_bytes(change(encode_payload(ticket)))
    assert main(["inspect", str(path)]) == 1
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert main(["inspect", str(tmp_path / "missing.fgan")]) == 1


def test_how_each_array_travels_is_shown_where_it_is_not_as_it_is(tmp_path, capsys):
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(64, 64)).astype(np.float32)
    arrays = {
        "half": weights.astype(np.float16),
        "tied": weights,
        "again": weights.copy(),
        "bias": weights[0],
        "bad\x1b[2J": np.zeros((), np.int64),
        "brain": (weights.view(np.uint32) >> 16).astype(np.uint16).view("V2"),
    }
    save(tmp_path / "g.fgan", arrays, codec="sparse:int8")
    assert main(["inspect", str(tmp_path / "g.fgan")]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"half +<f2 +64x64 .* as float32", printed)
    assert re.search(r"again +<f4 +64x64 .* same as tied", printed)
    assert re.search(r"brain +bfloat16 +64x64 ", printed)
    assert re.search(r"bias +<f4 +64 .* exact", printed)
    assert "'bad\\x1b[2J'" in printed
    assert "\x1b" not in printed
    assert "(exact arrays)" in printed


def test_a_payload_without_arrays(tmp_path, capsys):
    save(tmp_path / "g.fgan", {})
    assert main(["inspect", str(tmp_path / "g.fgan")]) == 0
    assert "ratio     0.00" in capsys.readouterr().out


def test_bands_are_shown(tmp_path, capsys):
    save(tmp_path / "g.fgan", banded(), codec="sparse:int4")
    assert main(["inspect", str(tmp_path / "g.fgan")]) == 0
    assert re.search(r"w +<f4 +1024x8 .* bands, ", capsys.readouterr().out)


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(CASES))
def test_damaged_payloads_are_described_or_refused(name):
    """Bytes are changed and the checksum made right, so that the parsers are reached."""
    arrays, settings = CASES[name]
    payload = encode_payload(arrays, **settings)
    rng = np.random.default_rng(5)
    for _ in range(100):
        data = bytearray(payload[:-4])
        data[rng.integers(6, len(data))] = rng.integers(256)
        with contextlib.suppress(PayloadError):
            report(seal(bytes(data)), name="x", max_bytes=1 << 20)
