"""``fgan convert`` to ``.pt`` and ``.onnx``: what PyTorch and ONNX Runtime make of them."""

import sys

import numpy as np
import pytest
import torch

from flwr_gan.app.fgan import main
from flwr_gan.app.generator_file import load_generator
from flwr_gan.gan import Generator, network_arrays
from flwr_gan.methods.factored import Factored
from flwr_gan.wire import load, save


def test_a_state_dict_is_loaded_without_unpickling(seeded_run, tmp_path, capsys):
    source, target = seeded_run() / "generators" / "global.fgan", tmp_path / "g.pt"
    assert main(["convert", str(source), str(target)]) == 0
    assert capsys.readouterr().out.startswith("3 arrays; ")
    state = torch.load(target, weights_only=True)
    assert list(state) == list(load(source))
    generator = Generator(8, 8, 10, latent_dim=6, channels=(8, 4), seed=1)
    generator.load_state_dict(state)
    for name, array in load(source).items():
        assert np.array_equal(network_arrays(generator)[name], array)


def test_types_of_tensors_are_those_of_the_arrays(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kinds = ["|b1", "<f2", ">f4", "<f8", "|u1", "<u4", "<i8", "<c16"]
    arrays = {kind: np.array([[0, 1, 1]]).astype(kind) for kind in kinds}
    arrays["bf16"] = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    arrays["0-d"] = np.array(3)
    save(tmp_path / "g.fgan", arrays)
    assert main(["convert", str(tmp_path / "g.fgan"), str(tmp_path / "g.pt")]) == 0
    state = torch.load(tmp_path / "g.pt", weights_only=True)
    assert state.pop("bf16").tolist() == [1.5, -2.0]
    for name, tensor in state.items():
        assert tensor.numpy().dtype == arrays[name].dtype.newbyteorder("=")
        assert np.array_equal(tensor.numpy(), arrays[name])


@pytest.mark.long
@pytest.mark.parametrize("factored", [False, True])
def test_onnx_runtime_draws_the_same_samples(factored, seeded_run, tmp_path):
    for library in ("onnx", "onnxscript"):
        pytest.importorskip(library)
    runtime = pytest.importorskip("onnxruntime")
    source, target = seeded_run() / "generators" / "global.fgan", tmp_path / "g.onnx"
    if factored:
        save(source, network_arrays(Factored(rank=3).student(load_generator(source))))
    assert main(["convert", str(source), str(target)]) == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["g.onnx"]
    session = runtime.InferenceSession(target, providers=["CPUExecutionProvider"])
    assert [(i.name, i.type, i.shape[1:]) for i in session.get_inputs()] == [
        ("latent", "tensor(float)", [6]),
        ("label", "tensor(int64)", []),
    ]
    assert [(o.name, o.shape[1:]) for o in session.get_outputs()] == [("sample", [8, 8])]
    generator = load_generator(source)
    for count in (1, 2, 33):
        z = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
        y = torch.arange(count) % 10
        with torch.no_grad():
            expected = generator(z, y).numpy()
        (found,) = session.run(["sample"], {"latent": z.numpy(), "label": y.numpy()})
        assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["g.pt", "g.npz"], 2, "g.pt: unknown format '.pt'; allowed are .fgan, .npz, .safetensors"),
        (["g.fgan", "g.pth"], 2, "allowed are .fgan, .npz, .safetensors, .pt, .onnx"),
        (["g.fgan", "g.pt", "--strict"], 2, "--strict is for .fgan files"),
        (["long.npz", "g.pt"], 2, "which .pt does not have"),
        (["g.fgan", "g.onnx"], 1, "generator.json cannot be read: No such file"),
        (["run/generators/other.fgan", "g.onnx"], 1, "other.fgan: array 'fc.weight' is missing"),
        (["g.fgan", "file/g.pt"], 1, "cannot write"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_ends_in_one_line(
    arguments, status, message, seeded_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    seeded_run()
    save("run/generators/other.fgan", {"w": np.ones(3, np.float32)})
    (tmp_path / "file").write_bytes(b"")
    save("g.fgan", {"w": np.ones(3, np.float32)})
    np.savez("long.npz", w=np.array(1, np.longdouble))
    before = sorted(tmp_path.iterdir())
    assert main(["convert", *arguments]) == status
    said = capsys.readouterr().err
    assert said.startswith("fgan: ")
    assert said.count("\n") == 1
    assert message in said
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_library_of_onnx_is_named_with_its_extra(
    seeded_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "onnx", None)
    source, target = seeded_run() / "generators" / "global.fgan", tmp_path / "g.onnx"
    assert main(["convert", str(source), str(target)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert ".onnx files need onnx: pip install 'flwr-gan[export]'" in said
    assert not target.exists()
