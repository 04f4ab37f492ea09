"""Splits among clients."""

import logging
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from flwr_gan.data import Samples
from flwr_gan.data.partition import (
    DirichletSplit,
    IidSplit,
    PathologicalSplit,
    ShardSplit,
    Split,
    WriterSplit,
    class_counts,
)
from flwr_gan.errors import ConfigError, PartitionError

CONF = Path(__file__).parents[2] / "conf/partition"
KINDS: dict[str, Split] = {
    "iid": IidSplit(),
    "dirichlet": DirichletSplit(),
    "pathological": PathologicalSplit(),
    "shard": ShardSplit(),
    "writer": WriterSplit(),
}


def make_samples(num_samples: int = 600, *, num_writers: int | None = 24) -> Samples:
    """Return samples of 10 classes, sorted by writer as real data are."""
    number = np.arange(num_samples)
    writers = None if num_writers is None else number * num_writers // num_samples
    return Samples(np.zeros((num_samples, 1, 1), dtype=np.float32), number % 10, writers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_clients", [1, 7, 10, 24])
def test_clients_hold_something_and_nothing_twice(kind: str, num_clients: int) -> None:
    samples = make_samples()
    parts = KINDS[kind](samples, num_clients=num_clients, seed=0)
    assert len(parts) == num_clients
    for indices in parts:
        assert indices.dtype == np.int64
        assert len(indices)
        assert (np.diff(indices) > 0).all()
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    if kind != "pathological":
        np.testing.assert_array_equal(np.sort(together), np.arange(len(samples)))
    elif num_clients >= 10:
        # Client i has class i, so all classes are held.
        assert len(together) == len(samples)


@pytest.mark.parametrize("kind", KINDS)
def test_the_split_depends_on_the_seed_alone(kind: str) -> None:
    def split(seed: int, global_seed: int) -> list[list[int]]:
        random.seed(global_seed)
        np.random.seed(global_seed)  # noqa: NPY002 - the global state must not matter
        parts = KINDS[kind](make_samples(), num_clients=6, seed=seed)
        return [indices.tolist() for indices in parts]

    first = split(1, 11)
    assert split(1, 12) == first
    assert split(2, 11) != first


@pytest.mark.parametrize("kind", KINDS)
def test_more_clients_than_samples_are_refused(kind: str) -> None:
    with pytest.raises(PartitionError, match=r"federation\.num_clients=21 .* 20 training samples"):
        KINDS[kind](make_samples(20, num_writers=20), num_clients=21, seed=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_clients", [0, -1, 2.5])
def test_no_clients_are_refused(kind: str, num_clients: int) -> None:
    with pytest.raises(ConfigError, match=r"federation\.num_clients="):
        KINDS[kind](make_samples(), num_clients=num_clients, seed=0)


@pytest.mark.parametrize("kind", ["iid", "writer"])
def test_one_sample_a_client_is_enough(kind: str) -> None:
    parts = KINDS[kind](make_samples(20, num_writers=20), num_clients=20, seed=0)
    assert [len(indices) for indices in parts] == [1] * 20


def test_iid_clients_hold_equally_much_of_all_classes() -> None:
    samples = make_samples(2000)
    parts = IidSplit()(samples, num_clients=3, seed=0)
    counts_PK = class_counts(samples.y_N, parts, num_classes=10)
    assert np.ptp(counts_PK.sum(axis=1)) <= 1
    assert counts_PK.min() > 40


def test_a_smaller_alpha_makes_clients_differ_more() -> None:
    samples = make_samples(3000)

    def spread(alpha: float) -> float:
        parts = DirichletSplit(alpha=alpha)(samples, num_clients=5, seed=0)
        return float(class_counts(samples.y_N, parts, num_classes=10).std(axis=0).mean())

    assert spread(0.2) > spread(1.0) > spread(100.0)


def test_dirichlet_clients_hold_the_least_asked_for() -> None:
    split = DirichletSplit(alpha=0.5, min_partition_size=30)
    for seed in range(5):
        parts = split(make_samples(), num_clients=6, seed=seed)
        assert min(map(len, parts)) >= 30


def test_dirichlet_does_not_sort_clients_by_writer() -> None:
    # Consecutive samples are one writer's; a share of a class must be drawn from all of them.
    samples = make_samples()
    assert samples.writer_N is not None
    for indices in DirichletSplit(alpha=100.0)(samples, num_clients=3, seed=0):
        assert len(np.unique(samples.writer_N[indices])) > 20


def test_an_alpha_too_small_is_named_after_some_draws() -> None:
    with pytest.raises(PartitionError, match=r"partition\.alpha=1e-06 left a client .* raise it"):
        DirichletSplit(alpha=1e-6)(make_samples(), num_clients=20, seed=0)


def test_a_least_size_that_cannot_be_is_named() -> None:
    with pytest.raises(PartitionError, match=r"partition\.min_partition_size=200 is more than"):
        DirichletSplit(min_partition_size=200)(make_samples(), num_clients=6, seed=0)


@pytest.mark.parametrize("assignment", ["first-deterministic", "deterministic", "random"])
def test_pathological_clients_hold_exactly_their_classes(assignment: str) -> None:
    samples = make_samples()
    split = PathologicalSplit(classes_per_client=3, assignment=assignment)
    parts = split(samples, num_clients=12, seed=0)
    counts_PK = class_counts(samples.y_N, parts, num_classes=10)
    np.testing.assert_array_equal((counts_PK > 0).sum(axis=1), 3)


def test_classes_that_nobody_holds_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        PathologicalSplit(assignment="deterministic")(make_samples(), num_clients=3, seed=0)
    assert "no client holds class 4, 5, 6, 7, 8, 9; raise partition." in caplog.text


def test_pathological_errors_name_the_setting() -> None:
    with pytest.raises(PartitionError, match=r"partition\.classes_per_client=11 .* 10 classes"):
        PathologicalSplit(classes_per_client=11)(make_samples(), num_clients=3, seed=0)
    with pytest.raises(PartitionError, match=r"partition\.classes_per_client=10 leaves clients"):
        PathologicalSplit(classes_per_client=10)(make_samples(50), num_clients=6, seed=0)


@pytest.mark.parametrize(
    ("num_samples", "num_clients", "shards"), [(600, 7, 2), (11, 10, 1), (100, 30, 2), (37, 12, 3)]
)
def test_shards_use_all_samples(num_samples: int, num_clients: int, shards: int) -> None:
    samples = make_samples(num_samples)
    parts = ShardSplit(shards_per_client=shards)(samples, num_clients=num_clients, seed=0)
    assert sum(map(len, parts)) == num_samples
    assert min(map(len, parts)) >= 1


def test_shards_hold_few_classes() -> None:
    samples = make_samples()
    parts = ShardSplit(shards_per_client=2)(samples, num_clients=5, seed=0)
    counts_PK = class_counts(samples.y_N, parts, num_classes=10)
    np.testing.assert_array_equal(counts_PK.sum(axis=1), 120)
    assert (counts_PK > 0).sum(axis=1).max() <= 4


def test_more_shards_than_samples_are_refused() -> None:
    with pytest.raises(PartitionError, match=r"partition\.shards_per_client=3 leaves shards"):
        ShardSplit(shards_per_client=3)(make_samples(20), num_clients=10, seed=0)


@pytest.mark.parametrize("num_clients", [1, 5, 24])
def test_a_writer_is_at_one_client_only(num_clients: int) -> None:
    samples = make_samples()
    assert samples.writer_N is not None
    parts = WriterSplit()(samples, num_clients=num_clients, seed=0)
    writers = [set(samples.writer_N[indices].tolist()) for indices in parts]
    assert sum(map(len, writers)) == 24
    assert len(set.union(*writers)) == 24
    sizes = [len(own) for own in writers]
    assert max(sizes) - min(sizes) <= 1


def test_writer_errors_name_the_setting() -> None:
    with pytest.raises(PartitionError, match=r"federation\.num_clients=25 .* 24 writers"):
        WriterSplit()(make_samples(), num_clients=25, seed=0)
    with pytest.raises(PartitionError, match="partition=writer needs data with writers"):
        WriterSplit()(make_samples(num_writers=None), num_clients=5, seed=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DirichletSplit(alpha=0),
        lambda: DirichletSplit(alpha=-1.0),
        lambda: DirichletSplit(alpha=float("nan")),
        lambda: DirichletSplit(alpha=float("inf")),
        lambda: DirichletSplit(alpha="much"),
        lambda: DirichletSplit(min_partition_size=0),
        lambda: PathologicalSplit(classes_per_client=0),
        lambda: PathologicalSplit(assignment="fair"),
        lambda: ShardSplit(shards_per_client=0),
        lambda: ShardSplit(shards_per_client=True),
    ],
)
def test_settings_out_of_range_are_refused_at_once(make) -> None:
    with pytest.raises(ConfigError, match=r"^partition\.[a-z_]+=.* is not allowed: give "):
        make()


def test_every_config_is_a_kind_and_every_kind_has_a_config() -> None:
    configs = {path.stem: instantiate(OmegaConf.load(path)) for path in CONF.glob("*.yaml")}
    # The configs state the defaults.
    assert configs == KINDS


def test_class_counts() -> None:
    counts_PK = class_counts(
        np.array([0, 2, 2, 1]), [np.array([0, 1, 2]), np.array([3])], num_classes=4
    )
    np.testing.assert_array_equal(counts_PK, [[1, 0, 2, 0], [0, 1, 0, 0]])
    assert counts_PK.dtype == np.int64


@pytest.mark.slow
def test_imports_are_light_and_nothing_is_written_to_the_home(tmp_path: Path) -> None:
    script = """
import sys
import numpy as np
import flwr_gan.data, flwr_gan.data.partition as partition
import flwr_gan.data.digits, flwr_gan.data.uji, flwr_gan.data.strokes
heavy = {"datasets", "flwr_datasets", "sklearn", "torch", "matplotlib", "pandas", "flwr"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
samples = flwr_gan.data.Samples(
    np.zeros((50, 1, 1), dtype=np.float32), np.arange(50) % 5, np.arange(50) % 10)
for kind in (partition.IidSplit, partition.DirichletSplit, partition.ShardSplit,
             partition.PathologicalSplit, partition.WriterSplit):
    kind()(samples, num_clients=5, seed=0)
"""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "HF_", "MPLCONFIG"))
    }
    environment |= {"HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # No progress bars either.
    assert "%|" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"matplotlib"}
