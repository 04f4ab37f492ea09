"""``fgan sample``: arrays and pictures of what a generator draws, and what is refused."""

import sys

import numpy as np
import pytest
import torch

from flwr_gan.app.fgan import main
from flwr_gan.app.fgan import sample as command
from flwr_gan.app.generator_file import load_generator
from flwr_gan.gan import sample


def test_arrays_are_those_of_the_generator(seeded_run, tmp_path, capsys):
    run, target = seeded_run(), tmp_path / "s.npz"
    options = ["--classes", "3,0", "--count", "5", "--seed", "7", "--output", str(target)]
    assert main(["sample", str(run), *options]) == 0
    assert capsys.readouterr().out == f"10 samples of 8 x 8: {target}\n"
    with np.load(target, allow_pickle=False) as file:
        found = dict(file)
    assert found["y"].tolist() == [3] * 5 + [0] * 5
    assert found["x"].dtype == np.float32
    rng = torch.Generator().manual_seed(7)
    assert np.array_equal(found["x"], sample(load_generator(run), found["y"], rng=rng))


def test_the_seed_says_which_samples(seeded_run, tmp_path):
    path = str(seeded_run() / "generators" / "global.fgan")
    found = {}
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        target = tmp_path / f"{name}.npz"
        assert main(["sample", path, "--seed", seed, "--output", str(target)]) == 0
        found[name] = target.read_bytes()
    assert found["a"] == found["b"] != found["c"]


@pytest.fixture
def figures(monkeypatch):
    """Return a list that gets every figure that is drawn; they are written as well."""
    drawn, write = [], command.save_figure
    monkeypatch.setattr(
        command, "save_figure", lambda figure, path: (drawn.append(figure), write(figure, path))
    )
    return drawn


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_picture_has_a_row_for_each_class(seeded_run, tmp_path, figures):
    target = tmp_path / "s.png"
    assert main(["sample", str(seeded_run()), "--output", str(target)]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert texts(figures[0]) == list("0123456789")
    assert len(figures[0].axes[0].images) == 10
    assert figures[0].axes[0].images[0].get_array().shape == (8, 12 * (8 + 1) - 1)


def test_many_samples_of_a_class_take_several_rows(seeded_run, tmp_path, figures):
    options = ["--classes", "0,3", "--count", "64", "--output", str(tmp_path / "s.png")]
    assert main(["sample", str(seeded_run()), *options]) == 0
    assert texts(figures[0]) == ["0", "", "", "", "3", "", "", ""]
    assert len(figures[0].axes[0].images) == 8


def test_strokes_are_drawn_as_strokes(seeded_run, tmp_path, figures):
    options = ["--classes", "0,38", "--count", "4", "--output", str(tmp_path / "s.png")]
    assert main(["sample", str(seeded_run(data="strokes")), *options]) == 0
    axes = figures[0].axes[0]
    assert not axes.images
    assert len(axes.collections[0].get_segments()) >= 8


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run", "--output", "s.gif"], 2, "s.gif: unknown format '.gif'; allowed are .png, .npz"),
        (["run", "--output", "s.npz", "--classes", "0,10"], 2, "no class 10; allowed are 0 to 9"),
        (["run", "--output", "s.png", "--count", "65"], 2, "give 1 to 64, or write .npz"),
        (["run", "--output", "s.npz", "--count", "9999999"], 2, "lower one or raise the other"),
        (["run", "--output", "file/s.npz"], 1, "cannot write file/s.npz"),
        (["run", "--output", "file/s.png"], 1, "cannot write file/s.png"),
        (["s.npz", "--output", "s.png"], 2, "unknown format '.npz'; give a .fgan file"),
        (["none.fgan", "--output", "s.png"], 1, "none.fgan cannot be read: No such file"),
        (["bad.fgan", "--output", "s.png"], 1, "bad.fgan"),
        (["alone.fgan", "--output", "s.png"], 1, "generator.json cannot be read"),
        ([".", "--output", "s.png"], 1, "name a .fgan file"),
        (["run", "--output", "s.png", "--max-bytes", "100"], 1, "100"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line(
    arguments, status, message, seeded_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    whole = (seeded_run() / "generators" / "global.fgan").read_bytes()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "alone.fgan").write_bytes(whole)
    (tmp_path / "bad.fgan").write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    before = sorted(tmp_path.rglob("*"))
    assert main(["sample", *arguments]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("fgan: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("option", "value"),
    [("--classes", "0,a"), ("--classes", "-1"), ("--count", "0"), ("--seed", str(1 << 63))],
)
def test_bad_numbers_are_refused(option, value, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["sample", "a.fgan", "--output", "a.png", f"{option}={value}"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert option in said
    assert "give a whole number" in said


def test_a_small_installation_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr_gan.app.fgan.sample", None)
    assert main(["sample", "a.fgan", "--output", "a.png"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "which is not installed: pip install flwr-gan" in said
