"""The command that prints what is inside a payload file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flwr_gan.wire import Template, encode_payload, save
from flwr_gan.wire.inspect import main


@pytest.mark.parametrize("spec", ["sparse", "sparse:int4", "zlib:3", "quantize:int8:channel+zstd"])
def test_report(tmp_path, capsys, ticket, spec):
    path = tmp_path / "g.fgan"
    save(path, ticket, codec=spec)
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    for word in ("version   2", "fc", "24x16", "<f4", "ratio", "header"):
        assert word in printed
    if spec == "sparse":
        assert "sparse (lossless)" in printed
        assert "layered" in printed
        assert "bins" in printed


def test_report_of_a_payload_that_leans_on_a_base(tmp_path, capsys, ticket):
    path = tmp_path / "g.fgan"
    payload = encode_payload(ticket, base=ticket, base_use="values")
    path.write_bytes(payload)
    assert main([str(path)]) == 0
    printed = capsys.readouterr().out
    assert "needs the values of" in printed
    assert "same" in printed
    assert "differences to the base" in printed


def test_report_without_a_template(tmp_path, capsys, ticket):
    path = tmp_path / "g.fgan"
    path.write_bytes(encode_payload(ticket, self_contained=False))
    assert main([str(path)]) == 0
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
    assert main([str(path)]) == 1
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert main([str(tmp_path / "missing.fgan")]) == 1


def test_the_module_runs(tmp_path, ticket):
    path = tmp_path / "g.fgan"
    save(path, ticket)
    command = [sys.executable, "-m", "flwr_gan.wire.inspect", str(path)]
    assert "ratio" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_bands_are_shown(capsys):
    path = Path(__file__).parent.parent / "golden" / "bands.fgan"
    assert main([str(path)]) == 0
    assert re.search(r"w +<f4 +1024x8 .* bands, ", capsys.readouterr().out)
