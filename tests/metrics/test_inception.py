"""FID and KID with weights from a local file; random ones here, of the same names and shapes."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from flwr_gan.app.federation import load_federation
from flwr_gan.app.scoring import Scorer
from flwr_gan.errors import ConfigError, DataError
from flwr_gan.gan import network_arrays
from flwr_gan.metrics import inception
from tests.conftest import IMAGES, TINY

# Sides of the kernels that are not 1 x 1, by the end of a layer's name.
KERNELS = {
    "1a_3x3": (3, 3), "2a_3x3": (3, 3), "2b_3x3": (3, 3), "4a_3x3": (3, 3), "5x5_2": (5, 5),
    "3x3dbl_2": (3, 3), "3x3dbl_3": (3, 3), "branch3x3": (3, 3), "3x3_2": (3, 3),
    "7x7_2": (1, 7), "7x7_3": (7, 1), "7x7dbl_2": (7, 1), "7x7dbl_3": (1, 7), "7x7dbl_4": (7, 1),
    "7x7dbl_5": (1, 7), "7x7x3_2": (1, 7), "7x7x3_3": (7, 1), "7x7x3_4": (3, 3), "2a": (1, 3),
    "2b": (3, 1), "3a": (1, 3), "3b": (3, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file with random weights of the network, four channels a layer."""
    state, rng = {}, torch.Generator().manual_seed(0)
    convolve = inception._convolved

    def grown(_state, name, x, **settings):
        kernel = next((k for end, k in KERNELS.items() if name.endswith(end)), (1, 1))
        shape = (4, x.shape[1], *kernel)
        state[f"{name}.conv.weight"] = torch.randn(shape, generator=rng)
        sizes = {
            "weight": 1.0,
            "bias": 0.5,
            "running_mean": 0.0,
            "running_var": np.prod(shape[1:]) / 2,
        }
        for key, size in sizes.items():
            state[f"{name}.bn.{key}"] = size * (torch.rand(4, generator=rng) + 0.5)
        return convolve(state, name, x, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "_convolved", grown)
        inception.inception_features({}, np.full((1, 3, 8, 8), 99, np.uint8))
    assert len(state) == 5 * 94  # layers of the Inception network
    path = tmp_path_factory.mktemp("inception") / inception.WEIGHTS
    torch.save(state, path)
    return str(path)


def images(count, seed):
    return np.random.default_rng(seed).uniform(-1, 1, (count, 8, 8)).astype(np.float32)


def test_the_values_are_those_of_the_formulas_on_the_same_features(weights):
    real, fake = images(6, 0), images(5, 1) * 0.5
    scores = inception.inception_scores(real, fake, weights=weights, seed=0)
    state = inception.read_weights(weights)
    a, b = (inception.inception_features(state, inception.as_bytes(x)) for x in (real, fake))
    assert a.shape == (6, 24)
    # tr((S_a S_b)^(1/2)) of covariances A'A and B'B is the trace of (A B' B A')^(1/2)
    centred = [(x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (a, b)]
    cross = centred[0] @ centred[1].T
    trace = np.trace(sqrtm(cross @ cross.T + 1e-24 * np.eye(6)).real)
    spread = sum(np.square(x).sum() for x in centred)
    fid = np.square(a.mean(axis=0) - b.mean(axis=0)).sum() + spread - 2 * trace
    assert scores["fid"] == pytest.approx(fid, rel=1e-4)
    assert fid > 1e-7
    rng, values = np.random.default_rng(0), []
    for _ in range(100):
        x, y = (s[rng.choice(len(s), 5, replace=False)] for s in (a, b))
        xx, yy, xy = ((p @ q.T / 24 + 1) ** 3 for p, q in ((x, x), (y, y), (x, y)))
        within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (5 * 4)
        values.append(within - 2 * xy.mean())
    assert scores["kid"] == pytest.approx(np.mean(values), rel=1e-6)
    assert inception.inception_scores(real, real, weights=weights, seed=0)["fid"] < 1e-6 * fid


def test_images_are_resized_as_tensorflow_does():
    matrix = inception._resizing(8)
    row = torch.arange(8.0) ** 2
    for at in (0, 1, 150, 298):
        place = at * 8 / 299
        low, high = int(place), min(int(place) + 1, 7)
        expected = row[low] + (row[high] - row[low]) * (place - low)
        assert float(matrix[at] @ row) == pytest.approx(float(expected), rel=1e-6)


def test_a_run_reports_them_once(weights):
    settings = f"metrics.inception={weights} metrics.images=4 output_dir=unused"
    made = load_federation(f"{TINY} {IMAGES} gan=wdcgan {settings}")
    scorer = Scorer(made, None)
    scorer.check()
    found = scorer.inception(list(network_arrays(made.networks(1)[0]).values()))["inception"]
    assert found["images"] == 4
    assert found["fid"] > 0
    assert np.isfinite(found["kid"])


def test_without_a_file_nothing_is_called_fid():
    scorer = Scorer(load_federation(f"{TINY} output_dir=unused"), None)
    scorer.check()
    assert scorer.inception([]) == {}


def test_bytes_are_what_pictures_have():
    grey = np.stack([np.full((2, 2), v, np.float32) for v in (-1, 1)])
    assert inception.as_bytes(grey)[:, :, 0, 0].tolist() == [[0, 0, 0], [255, 255, 255]]
    colour = np.zeros((2, 4, 5, 3), np.float32)
    colour[..., 2] = 1
    assert inception.as_bytes(colour).shape == (2, 3, 4, 5)
    assert inception.as_bytes(colour)[0, :, 0, 0].tolist() == [128, 128, 255]
    for shape in ((2, 4, 5, 2), (1, 4, 5), (4, 5)):
        with pytest.raises(DataError, match="FID of samples of shape"):
            inception.as_bytes(np.zeros(shape, np.float32))


@pytest.mark.parametrize("content", [None, b"", b"no weights", {"fc.weight": torch.zeros(2)}])
def test_a_wrong_file_is_one_line(tmp_path, content):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ConfigError, match=r"cannot be read: .*give pt_inception") as caught:
        inception.read_weights(str(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("data=strokes", "is for images, grey or in colour, and samples of strokes are strokes"),
        ("evaluation=none", "beside evaluation=none: give evaluation=server"),
    ],
)
def test_what_has_no_fid_is_refused_before_training(settings, message):
    text = f"{TINY} metrics.inception=x output_dir=unused {settings}"
    with pytest.raises(ConfigError, match=message):
        Scorer(load_federation(text), None).check()
