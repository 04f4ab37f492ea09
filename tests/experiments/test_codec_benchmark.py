"""The codec benchmark reads what it is given and writes tables and a picture."""

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import codecs
from experiments.benchmarks.codec_measures import (
    GENERATOR_SHAPES,
    PUBLISHED_RATIOS,
    generate,
    median_seconds,
    order0_bound_bytes,
    output_change,
    read_weights,
)
from flwr_gan.errors import OutputError
from flwr_gan.wire import save

SPECS = ["zlib:9", "sparse", "sparse:int8"]


def model(share, seed=0):
    rng = np.random.default_rng(seed)
    w = rng.normal(size=(60, 20)).astype(np.float32)
    return {"w": w * (rng.random(w.shape) < share).astype(np.float32)}


@pytest.mark.long
def test_measures_files(tmp_path, capsys):
    for number, share in ((0, 1.0), (1, 0.3)):
        save(tmp_path / f"p{number}.fgan", model(share))
    places = [str(tmp_path / f"p{number}.fgan") for number in (0, 1)]
    arguments = ["--weights", *places, "--repeats", "2", "--output", str(tmp_path / "out")]
    assert codecs.main([*arguments, "--codecs", *SPECS]) == 0
    table = pd.read_csv(tmp_path / "out" / "codecs.csv")
    assert set(table["weights"]) == {"p0", "p1"}
    assert len(table) == 2 * (2 * 1 + 2)
    assert (table["payload_bytes"] > 0).all()
    assert np.allclose(table["ratio"], table["dense_bytes"] / table["payload_bytes"], rtol=1e-4)
    clean = table[(table["codec"] == "zlib:9") & (table["weights"] == "p1")].set_index("zeros")
    assert clean.loc["raw", "published_ratio"] == 1.21
    assert np.isnan(clean.loc["canonical", "published_ratio"])
    known = pd.read_csv(tmp_path / "out" / "codecs_known_mask.csv")
    assert set(known["case"]) <= {"mask update, nested", "mask update, derived"}
    assert (tmp_path / "out" / "codecs.png").stat().st_size > 10_000
    assert "order-0 bound, computed" in capsys.readouterr().out


def test_negative_zeros_cost_the_general_codecs():
    rng = np.random.default_rng(0)
    w = rng.normal(size=20_000).astype(np.float32) * (rng.random(20_000) < 0.05)
    table = codecs.measure({"p1": {"w": w.astype(np.float32)}}, ["zlib:9"], repeats=1)
    ratio = table.set_index("zeros")["ratio"]
    assert ratio["canonical"] > 1.3 * ratio["raw"]


def test_nothing_to_read_is_explained(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("FLWR_GAN_WEIGHTS", raising=False)
    assert codecs.main(["--output", str(tmp_path)]) != 0
    assert "FLWR_GAN_WEIGHTS" in capsys.readouterr().err
    (tmp_path / "x.npy").write_bytes(b"nothing")
    with pytest.raises(OutputError, match=r"x\.npy"):
        read_weights([str(tmp_path / "x.npy")])


def test_folders_are_read_in_the_order_of_pruning(tmp_path):
    flat = np.zeros(sum(int(np.prod(shape)) for shape in GENERATOR_SHAPES.values()), np.float32)
    for name in ("p10", "p2", "p2_prev"):
        np.save(tmp_path / f"generator_{name}.npy", flat)
    found = read_weights([str(tmp_path)])
    assert list(found) == ["p2", "p2_prev", "p10"]
    assert {name: array.shape for name, array in found["p2"].items()} == GENERATOR_SHAPES


def test_the_bound_is_that_of_a_known_case():
    w = np.array([0, 1, 1, 0, 0, 0, 0, 0], np.float32)
    mask_bits = -2 * np.log2(0.25) - 6 * np.log2(0.75)
    assert order0_bound_bytes({"w": w}) == pytest.approx((mask_bits + 2 * 24) / 8)
    assert order0_bound_bytes({"w": w, "n": np.zeros(3, np.int64)}) == pytest.approx(
        (mask_bits + 2 * 24) / 8 + 24
    )


@pytest.mark.long
def test_output_change_is_zero_for_the_same_weights():
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(size=shape).astype(np.float32) / 10
        for name, shape in GENERATOR_SHAPES.items()
    }
    output = generate(weights)
    assert output.shape == (4096, 3, 10)
    assert output_change(output, weights) == 0
    moved = {name: array * np.float32(1.01) for name, array in weights.items()}
    assert 0 < output_change(output, moved) < 0.2


def test_medians_and_published_figures():
    calls = []
    assert median_seconds(lambda: calls.append(1), repeats=3) >= 0
    assert len(calls) == 4
    assert {len(ratios) for ratios in PUBLISHED_RATIOS.values()} == {18}
    assert codecs.published_ratio("p17", "paq9a:1") == 14.14
    assert np.isnan(codecs.published_ratio("mine", "zlib:9"))
    assert np.isnan(codecs.published_ratio("p3", "sparse"))
