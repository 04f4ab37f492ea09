"""``fgan compare``: figures and a picture of two generators, and what is refused."""

import numpy as np
import pytest
import torch

from flwr_gan.app.config import load_config
from flwr_gan.app.fgan import compare as command
from flwr_gan.app.fgan import main
from flwr_gan.app.generator_file import load_generator
from flwr_gan.gan import network_arrays, sample
from flwr_gan.metrics import SampleJudge
from flwr_gan.wire import save

pytestmark = pytest.mark.usefixtures("quick_judge")


def table(printed):
    """Return the lines of a printed table as name -> (of A, of B)."""
    lines = [line.rsplit(maxsplit=2) for line in printed.splitlines() if line.count("  ")]
    return {words[0].strip(): tuple(words[1:]) for words in lines if len(words) == 3}


@pytest.fixture
def figures(monkeypatch):
    drawn, write = [], command.save_figure
    monkeypatch.setattr(
        command, "save_figure", lambda figure, path: (drawn.append(figure), write(figure, path))
    )
    return drawn


@pytest.fixture
def quick(monkeypatch):
    """Let the judge learn from few samples."""
    monkeypatch.setattr(command, "JUDGED", 5)
    monkeypatch.setattr(
        command, "SampleJudge", lambda *parts, **rest: SampleJudge(*parts, **rest, max_train=200)
    )


@pytest.mark.usefixtures("quick")
def test_sizes_and_quality_stand_beside_each_other(seeded_run, tmp_path, capsys, figures):
    a, b, target = seeded_run("a"), seeded_run("b", seed=1), tmp_path / "c.png"
    arrays = network_arrays(load_generator(b))
    arrays["fc.weight"][:32] = 0
    save(b / "generators" / "global.fgan", arrays)
    for folder in (a, b):
        (folder / "config.yaml").write_text(load_config().to_yaml())
    assert main(["compare", str(a), str(b), "--output", str(target)]) == 0
    printed = capsys.readouterr().out
    found = table(printed)
    sizes = [f"{(f / 'generators' / 'global.fgan').stat().st_size:,}" for f in (a, b)]
    assert found["bytes"] == tuple(sizes)
    assert found["weights"] == ("1,216", "1,216")
    assert "not zero              100.0 %" in printed
    assert f"{100 * (1216 - 512) / 1216:.1f} %" in printed
    assert found["data"] == ("digits", "digits")
    for measure in ("frechet distance", "conditional accuracy", "synthetic accuracy"):
        assert all(float(value) >= 0 for value in found[measure])
    drawn = [
        sample(
            load_generator(f), np.repeat(np.arange(10), 12), rng=torch.Generator().manual_seed(0)
        )
        for f in (a, b)
    ]
    ink = [x > 0 for x in drawn]
    iou = np.mean([(x & y).sum() / (x | y).sum() for x, y in (ink, [~part for part in ink])])
    (line,) = (line for line in printed.splitlines() if line.startswith("IoU to A"))
    assert float(line.split()[-1]) == pytest.approx(iou, abs=5e-4)
    assert found["frechet distance"][0] != found["frechet distance"][1]
    assert printed.endswith(f"samples: {target}\n")
    names = [text.get_text() for text in figures[0].axes[0].texts]
    assert names[:4] == ["0 A", "0 B", "1 A", "1 B"]


def test_both_are_drawn_from_the_same_latent_vectors(seeded_run, tmp_path, capsys, figures):
    run = seeded_run()
    arguments = [str(run), str(run / "generators" / "global.fgan")]
    assert main(["compare", *arguments, "--output", str(tmp_path / "c.png")]) == 0
    rows = [image.get_array().filled(0) for image in figures[0].axes[0].images]
    assert len(rows) == 20
    for number in range(10):
        assert np.array_equal(rows[2 * number], rows[2 * number + 1])
    assert not np.array_equal(rows[0], rows[2])
    said = capsys.readouterr().out
    assert f"quality was not measured: there is no {run / 'config.yaml'}; give --data" in said


def test_latent_vectors_of_other_lengths_are_told(seeded_run, tmp_path, capsys):
    a, b = seeded_run("a"), seeded_run("b", latent_dim=5)
    assert main(["compare", str(a), str(b), "--output", str(tmp_path / "c.png")]) == 0
    assert "latent vectors have 6 and 5 numbers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "another version has written it"),
        (lambda text: "[", "cannot read"),
        (lambda text: text.replace("flwr_gan.data.digits.load_digits", "os.system"), "os.system"),
        (lambda text: text.replace("digits.load_digits", "sources.os.system"), "another package"),
        (lambda text: text.replace("split_seed: 0", "split_seed: {_target_: os.getcwd}"),
         "another package"),
    ],
)  # fmt: skip
def test_a_config_from_elsewhere_runs_nothing(change, message, seeded_run, tmp_path, capsys):
    run = seeded_run()
    text = load_config().to_yaml()
    assert change(text) != text
    (run / "config.yaml").write_text(change(text))
    assert main(["compare", str(run), str(run), "--output", str(tmp_path / "c.png")]) == 0
    said = capsys.readouterr().out
    assert "quality was not measured: " in said
    assert message in said


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["a", "strokes", "--output", "c.png"], 2, "A makes image of 8 x 8"),
        (["a", "a", "--output", "c.npz"], 2, "c.npz: unknown format '.npz'; allowed is .png"),
        (["a", "a", "--output", "c.png", "--data", "digit"], 2, "digits"),
        (["a", "a", "--output", "c.png", "--data", ""], 2, "data="),
        (["a", "a", "--output", "c.png", "--data", "strokes data.num_samples=400"], 1,
         "(10, 3, 39)"),
        (["a", "a", "--output", "c.png", "--data", "remote"], 1, "no samples here"),
        (["a", "none.fgan", "--output", "c.png"], 1, "none.fgan cannot be read"),
        (["a", "a", "--output", "file/c.png"], 1, "cannot write file/c.png"),
    ],
)  # fmt: skip
def test_bad_input_ends_in_one_line(
    arguments, status, message, seeded_run, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    seeded_run("a")
    seeded_run("strokes", data="strokes")
    (tmp_path / "file").write_bytes(b"")
    before = sorted(tmp_path.rglob("*"))
    assert main(["compare", *arguments]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("fgan: ")
    assert said.err.count("\n") == 1
    assert message in said.err
    assert sorted(tmp_path.rglob("*")) == before
