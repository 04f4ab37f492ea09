"""``fgan convert``: what is kept between the formats, and what is refused."""

import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from flwr_gan.app.fgan import main
from flwr_gan.app.fgan.convert import write_safetensors
from flwr_gan.wire import decode_payload, describe_payload, encode_payload, load, save

BFLOAT16 = np.dtype("V2")


def arrays():
    """Return arrays of every kind that all three formats have, in an order that none sorts by."""
    rng = np.random.default_rng(0)
    kinds = [
        "<f4",
        "|b1",
        "<f2",
        "<f8",
        "|i1",
        "<i2",
        "<i4",
        "<i8",
        "|u1",
        "<u2",
        "<u4",
        "<u8",
        "<c8",
    ]
    found = {
        "z/weights": np.asfortranarray(rng.normal(size=(7, 5)).astype(np.float32)),
        "steps": np.array(41),
        "none": np.zeros((0, 3), np.float16),
    }
    for number, kind in enumerate(reversed(kinds)):
        found[f"{kind[1:]} é {number}"] = rng.integers(0, 2, (2, number)).astype(kind)
    found["a.npy"] = np.array([np.nan, -np.inf, 1e-45], np.float32)
    return found


def same(found, expected, *, ordered=True):
    assert sorted(found) == sorted(expected)
    if ordered:
        assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


def converted(tmp_path, *steps, options=()):
    """Convert a file through several formats and return its arrays."""
    path = tmp_path / steps[0]
    for number, suffix in enumerate([*steps[1:], ".fgan"]):
        target = tmp_path / f"{number}{suffix}"
        assert (
            main(["convert", str(path), str(target), *(options if suffix == ".fgan" else ())]) == 0
        )
        path = target
    return load(path)


@pytest.mark.long
@pytest.mark.parametrize("ways", [(".npz",), (".safetensors",), (".npz", ".safetensors", ".npz")])
def test_names_shapes_and_dtypes_are_kept(ways, tmp_path):
    save(tmp_path / "g.fgan", arrays(), codec="zlib:1")
    found = converted(tmp_path, "g.fgan", *ways)
    same(found, arrays(), ordered=".safetensors" not in ways)


def test_numpy_reads_and_writes_the_same_npz(tmp_path, capsys):
    path = tmp_path / "a.fgan"
    save(path, arrays())
    assert main(["convert", str(path), str(tmp_path / "b.npz")]) == 0
    with np.load(tmp_path / "b.npz", allow_pickle=False) as file:
        same(dict(file), arrays())
    for save_as in (np.savez, np.savez_compressed):
        save_as(tmp_path / "c.npz", allow_pickle=False, **arrays())
        same(converted(tmp_path, "c.npz"), arrays())
    assert "17 arrays; " in capsys.readouterr().out


def test_what_one_format_alone_has(tmp_path):
    odd = {"big": np.arange(6, dtype=">f4").reshape(2, 3), "wide": np.array([1 + 2j])}
    save(tmp_path / "g.fgan", odd)
    same(converted(tmp_path, "g.fgan", ".npz"), odd)
    del odd["wide"]
    save(tmp_path / "g.fgan", odd)
    found = converted(tmp_path, "g.fgan", ".safetensors")
    assert found["big"].dtype == np.float32
    assert np.array_equal(found["big"], odd["big"])


def test_bfloat16_goes_to_safetensors_and_back(tmp_path, capsys):
    safetensors = pytest.importorskip("safetensors.numpy")
    ml_dtypes = pytest.importorskip("ml_dtypes")
    given = {"w": np.array([[1.5, -2.0, 0.0]], ml_dtypes.bfloat16), "x": np.array(3.0, np.float32)}
    safetensors.save_file(given, tmp_path / "g.safetensors")
    found = converted(tmp_path, "g.safetensors", ".safetensors")
    same(
        {name: array.view(given[name].dtype) for name, array in found.items()}, given, ordered=False
    )
    save(tmp_path / "g.fgan", given)
    capsys.readouterr()
    assert main(["convert", str(tmp_path / "g.fgan"), str(tmp_path / "h.npz")]) == 2
    assert "w is bfloat16, which .npz does not have" in error_of(capsys)
    assert not (tmp_path / "h.npz").exists()


def test_the_library_of_safetensors_reads_what_is_written(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    save(tmp_path / "g.fgan", arrays())
    assert main(["convert", str(tmp_path / "g.fgan"), str(tmp_path / "g.safetensors")]) == 0
    same(safetensors.load_file(tmp_path / "g.safetensors"), arrays(), ordered=False)


def test_arrays_in_column_order_keep_their_values_in_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    given = {
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "turned": np.ones((2, 3)).T,
    }
    write_safetensors(tmp_path / "g.safetensors", given)
    same(safetensors.load_file(tmp_path / "g.safetensors"), given, ordered=False)


@pytest.mark.parametrize(
    ("options", "label", "negative_zero"),
    [([], "sparse", False), (["--codec", "zstd:3"], "zstd", False), (["--strict"], "sparse", True)],
)
def test_codec_and_strict_are_those_of_the_payload(options, label, negative_zero, tmp_path):
    np.savez(tmp_path / "a.npz", w=np.array([-0.0, 1.0], np.float32))
    assert main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "b.fgan"), *options]) == 0
    payload = (tmp_path / "b.fgan").read_bytes()
    assert describe_payload(payload).codec_label == label
    assert bool(np.signbit(decode_payload(payload)["w"][0])) == negative_zero


def error_of(capsys):
    text = capsys.readouterr().err
    assert text.startswith("fgan")
    assert text.count("\n") == 1
    return text


def npz(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)


def npy(array, **changes):
    """Return the bytes of a .npy file; header words may be exchanged for others of any length."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, np.lib.format.header_data_from_array_1_0(array) | changes
    )
    return buffer.getvalue() + array.tobytes()


ONES = np.ones(4, np.float32)
HALF = npy(np.zeros(1 << 19, np.uint8))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("w.npy", npy(np.array([None]))[:128] + b"cos\nsystem\n.")], "never unpickled"),
        ([("w.npy", npy(ONES)[:-1])], "15 bytes"),
        ([("w.npy", npy(ONES) + b"x")], "16 bytes or more"),
        ([("w.npy", b"GIF89a")], "damaged"),
        ([("w.npy", b"")], "damaged"),
        ([("w.txt", b"hello")], "w.txt is no .npy file"),
        ([("w.npy", npy(ONES)), ("w.npy", npy(ONES))], "w.npy is there twice"),
        ([("w.npy", npy(ONES, shape=(1 << 40,)))], "left of --max-bytes 1000000"),
        ([("w.npy", npy(ONES, shape=(-4, -1)))], "shape (-4, -1)"),
        ([("w.npy", HALF), ("x.npy", HALF)], "x has 524288 bytes, 475712 are left"),
        ([("w.npy", npy(np.array(["a", "bc"])))], "is of <U2"),
        ([("w.npy", npy(np.array([(1, 2)], "i4,f4")))], "only numbers and bools"),
        ([("w.npy", npy(np.array([1, 2], np.uint8), descr="|b1"))], "neither 0 nor 1"),
        ([("w.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)], "damaged"),
        ([("w.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"(" * 99)], "structured type"),
    ],
)  # fmt: skip
def test_bad_npz_files_end_in_one_line(members, message, tmp_path, capsys):
    npz(tmp_path / "a.npz", members)
    arguments = ["--max-bytes", "1000000", str(tmp_path / "a.npz"), str(tmp_path / "b.fgan")]
    assert main(["convert", *arguments]) == 1
    assert message in error_of(capsys)
    assert not (tmp_path / "b.fgan").exists()


@pytest.mark.long
def test_files_that_are_cut_or_changed_anywhere_end_in_one_line_or_are_read(tmp_path, capsys):
    small = {"w": np.arange(3, dtype=np.float32), "b": np.array(True)}
    save(tmp_path / "g.fgan", small)
    rng = np.random.default_rng(1)
    for suffix in (".npz", ".safetensors"):
        path, target = tmp_path / f"g{suffix}", tmp_path / "h.fgan"
        assert main(["convert", str(tmp_path / "g.fgan"), str(path)]) == 0
        whole = path.read_bytes()
        for trial in range(300):
            data = bytearray(whole)
            if trial % 2:
                data = data[: rng.integers(len(data))]
            else:
                data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            path.write_bytes(data)
            capsys.readouterr()
            if main(["convert", str(path), str(target), "--max-bytes", "1000"]):
                error_of(capsys)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["missing.npz", "b.fgan"], 1, "missing.npz cannot be read: No such file"),
        ([".", "b.fgan"], 2, "unknown format ''; allowed are .fgan, .npz, .safetensors"),
        (["a.npz", "b.txt"], 2, "b.txt: unknown format '.txt'"),
        (["folder.npz", "b.fgan"], 1, "it is no file"),
        (["a.npz", "b.fgan", "--codec", "zlip"], 2, "zlib"),
        (["a.npz", "b.npz", "--codec", "zlib"], 2, "--codec is for .fgan files"),
        (["a.npz", "b.safetensors", "--strict"], 2, "--strict is for .fgan files"),
        (["a.npz", "file/b.fgan"], 1, "cannot write"),
        (["a.npz", "b.fgan", "--max-bytes", "15"], 1, "w has 16 bytes, 15 are left"),
        (["bad.fgan", "b.npz"], 1, "no flwr_gan payload"),
        (["bad.safetensors", "b.npz"], 1, "no .safetensors file"),
        (["based.fgan", "b.npz"], 1, "unknown_base"),
        (["bare.fgan", "b.npz"], 1, "template"),
        (["wide.npz", "b.safetensors"], 2, "w is of complex128, which .safetensors does not have"),
        (["long.npz", "b.fgan"], 2, "longdouble"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line(arguments, status, message, tmp_path, capsys, monkeypatch):
    if "b.safetensors" in arguments or "bad.safetensors" in arguments:
        pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", w=ONES)
    np.savez("wide.npz", w=np.array(1j))
    np.savez("long.npz", w=np.array(1, np.longdouble))
    (tmp_path / "folder.npz").mkdir()
    for name in ("file", "bad.fgan", "bad.safetensors"):
        (tmp_path / name).write_bytes(b"not this")
    based = encode_payload({"w": ONES}, base={"w": ONES}, base_use="values")
    (tmp_path / "based.fgan").write_bytes(based)
    (tmp_path / "bare.fgan").write_bytes(encode_payload({"w": ONES}, self_contained=False))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(["convert", *arguments]) == status
    assert message.replace("longdouble", str(np.dtype(np.longdouble))) in error_of(capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_source_that_is_too_large_is_not_read(tmp_path, capsys):
    for suffix in (".fgan", ".npz", ".safetensors"):
        path = tmp_path / f"large{suffix}"
        with path.open("wb") as file:
            file.truncate(1 << 40)  # sparse: takes no space
        assert main(["convert", str(path), str(tmp_path / "b.fgan")]) == 1
        assert "raise --max-bytes" in error_of(capsys)


@pytest.mark.parametrize("name", ["safetensors", "ml_dtypes"])
def test_a_missing_library_is_named_with_its_extra(name, tmp_path, capsys, monkeypatch):
    pytest.importorskip("safetensors")
    np.savez(tmp_path / "a.npz", w=np.zeros(2, BFLOAT16))
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["convert", str(tmp_path / "a.npz"), str(tmp_path / "b.safetensors")]) == 2
    assert f"need {name}: pip install 'flwr-gan[safetensors]'" in error_of(capsys)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["convert"],
        ["convert", "a.npz"],
        ["inspect"],
        ["examine", "x"],
        ["inspect", "--max-bytes", "x", "y"],
    ],
)
def test_wrong_arguments_end_in_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert "--help" in error_of(capsys)


@pytest.mark.long
def test_the_module_runs_and_a_closed_pipe_is_no_traceback(tmp_path):
    save(tmp_path / "g.fgan", {f"w{i}": ONES for i in range(9999)})
    command = f"{sys.executable} -m flwr_gan.app.fgan inspect {tmp_path / 'g.fgan'} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("file ")
    assert done.stderr == ""
