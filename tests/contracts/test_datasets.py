"""What every data set in conf/data must be; one that is added there is tested here."""

from pathlib import Path

import numpy as np
import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from flwr_gan.data import Dataset, Samples
from flwr_gan.errors import DataError
from flwr_gan.plots import sample_grid
from tests.data.folders import image_folder, saved_set

CONF = Path(__file__).parents[2] / "conf/data"
VARIANTS = [
    *[(path.stem, {}) for path in sorted(CONF.glob("*.yaml")) if path.stem != "remote"],
    ("uji", {"version": 2}),
    ("arrays", {"form": "colour"}),
    ("arrays", {"form": "writers"}),
    ("image_folder", {"channels": 1}),
    ("huggingface", {"channels": 1}),
    ("textures", {"channels": 1}),
]  # "remote" has no samples: tests/data/test_arrays.py


def own(name: str, folder: Path, changes: dict[str, object]) -> dict[str, object]:
    """Write a set of one's own below a folder and return the settings that find it."""
    changes, path = dict(changes), folder / name
    if name == "arrays":
        form = changes.pop("form", "grey")
        shape = (60, 4, 5, 3) if form == "colour" else (60, 4, 5)
        arrays = {"x": np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)}
        arrays["y"] = np.arange(60) % 3
        if form == "writers":
            arrays["writer"] = np.arange(60) // 6
        np.savez(path := path.with_suffix(".npz"), **arrays)
        return changes | {"path": str(path)}
    if name == "image_folder":
        return changes | {"root": str(image_folder(path))}
    if name == "huggingface":
        return changes | {"path": str(saved_set(path))}
    return changes


def load(name: str, **changes: object) -> Dataset:
    """Return a data set as its config makes it, without network; skip when its files are absent."""
    config = OmegaConf.load(CONF / f"{name}.yaml")
    config.pop("defaults", None)
    if "download" in config:
        changes["download"] = False
    try:
        return instantiate(config, **changes)
    except InstantiationException as error:
        # Hydra wraps what a target raises.
        if isinstance(error.__cause__, DataError) and "not found in" in str(error.__cause__):
            pytest.skip(str(error.__cause__).split(" in ")[0])
        raise


@pytest.fixture(
    scope="module",
    params=VARIANTS,
    ids=["-".join([name, *map(str, changes.values())]) for name, changes in VARIANTS],
)
def variant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, object], Dataset]:
    name, changes = request.param
    changes = own(name, tmp_path_factory.mktemp("own"), changes)
    return name, changes, load(name, **changes)


@pytest.fixture
def dataset(variant: tuple[str, dict[str, object], Dataset]) -> Dataset:
    return variant[2]


def test_every_config_can_be_found() -> None:
    names = {name for name, _ in VARIANTS}
    assert {"digits", "pendigits", "uji", "strokes", "mnist", "fashion_mnist"} <= names
    assert {"arrays", "image_folder", "huggingface", "textures"} <= names


def test_the_name_is_the_config_s(variant: tuple[str, dict[str, object], Dataset]) -> None:
    name, _, dataset = variant
    assert dataset.name == name


@pytest.mark.parametrize("part", ["train", "test"])
def test_arrays_have_the_promised_types_and_range(dataset: Dataset, part: str) -> None:
    samples: Samples = getattr(dataset, part)
    assert samples.x_NTC.dtype == np.float32
    channels = (dataset.num_channels,) if dataset.num_channels > 1 else ()
    shape = (dataset.num_vectors, dataset.num_components, *channels)
    assert samples.x_NTC.shape == (len(samples), *shape)
    assert samples.x_NTC.flags.c_contiguous
    assert samples.x_NTC.flags.writeable
    assert samples.x_NTC.min() >= -1
    assert samples.x_NTC.max() <= 1
    assert samples.y_N.dtype == np.int64
    assert samples.y_N.shape == (len(samples),)


@pytest.mark.parametrize("part", ["train", "test"])
def test_every_class_has_samples_and_a_name(dataset: Dataset, part: str) -> None:
    counts = np.bincount(getattr(dataset, part).y_N, minlength=dataset.num_classes)
    assert len(counts) == dataset.num_classes
    assert counts.min() > 0
    assert len(set(dataset.class_names)) == dataset.num_classes
    assert all(isinstance(name, str) and name for name in dataset.class_names)


def test_training_samples_are_the_majority(dataset: Dataset) -> None:
    assert len(dataset.train) > len(dataset.test) > 0


def test_no_writer_is_in_both_parts(dataset: Dataset) -> None:
    if dataset.train.writer_N is None:
        assert dataset.test.writer_N is None
        pytest.skip("no writers are known")
    assert dataset.test.writer_N is not None
    assert dataset.train.writer_N.dtype == dataset.test.writer_N.dtype == np.int64
    assert not np.intersect1d(dataset.train.writer_N, dataset.test.writer_N).size


def test_strokes_are_drawings(dataset: Dataset) -> None:
    if dataset.kind != "strokes":
        assert dataset.kind == "image"
        pytest.skip("images")
    assert dataset.num_components == 3
    pen_NT = dataset.train.x_NTC[:, :, 2]
    assert set(np.unique(pen_NT)) == {-1.0, 1.0}
    # A drawing begins and ends with the pen on the paper.
    assert (pen_NT[:, 0] == 1).all()
    assert (pen_NT[:, -1] == 1).all()


def test_samples_can_be_drawn(dataset: Dataset) -> None:
    x_KnTC = dataset.train.x_NTC[: dataset.num_classes, None]
    sample_grid(x_KnTC, dataset.class_names, dataset.kind)


def test_loading_again_gives_the_same(variant: tuple[str, dict[str, object], Dataset]) -> None:
    name, changes, dataset = variant
    np.random.seed(99)  # noqa: NPY002 - the global state must not matter
    again = load(name, **changes)
    for part in ("train", "test"):
        first, second = getattr(dataset, part), getattr(again, part)
        np.testing.assert_array_equal(first.x_NTC, second.x_NTC)
        np.testing.assert_array_equal(first.y_N, second.y_N)
        np.testing.assert_array_equal(first.writer_N, second.writer_N)
