"""``textures``: patches of two colour photographs, embedded in scikit-learn.

Both have the licence CC BY 2.0 (https://creativecommons.org/licenses/by/2.0/): china.jpg is by
danielbuechele (https://www.flickr.com/photos/danielbuechele/6061409035), flower.jpg by vultilion
(https://www.flickr.com/photos/vultilion/6056698931). The patches are cut out and reduced.

S rows and columns of a sample.
"""

from typing import Annotated, Any

import numpy as np

from flwr_gan.core.settings import Within, checked
from flwr_gan.data.dataset import Dataset, Samples, check_size, scaled
from flwr_gan.data.pictures import image_shape
from flwr_gan.seeding import numpy_rng

PICTURES = ("china", "flower")
CUT = 64  # rows and columns of a patch, before it is reduced to S
BAND = 80  # columns of a picture that belong to one part
TEST_BANDS = (2, 6)  # of the eight bands of a picture
_NUM_BANDS = 8


def load_textures(
    *, size: int = 32, channels: int = 3, patches: int = 1000, seed: int = 0
) -> Dataset:
    """Return patches of two photographs in two classes, reduced to ``size`` x ``size`` pixels.

    Each picture is divided into eight bands of 80 columns. Training patches of 64 x 64 pixels are
    cut out of six bands, test patches out of the two others, so that no pixel is in both parts.
    Patches of one part overlap.

    Parameters
    ----------
    size : int
        S, rows and columns of a sample, 4 to 64; a smaller one is the mean over areas.
    channels : {1, 3}
        1: grey, samples of shape (S, S). 3: red, green and blue, (S, S, 3).
    patches : int
        Training patches per picture, 4 to 100,000; test patches are a quarter as many.
    seed : int
        Seed of the patches' positions; it is not the seed of the run.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    DataError
        When the patches would take too much memory.
    """
    checked("data.size", size, Annotated[int, Within(at_least=4, at_most=CUT)])
    checked("data.patches", patches, Annotated[int, Within(at_least=4, at_most=100_000)])
    shape = image_shape(size, channels)
    check_size(f"data.patches={patches}", patches * len(PICTURES), shape)
    from PIL import Image
    from sklearn import datasets  # takes a second

    pictures = [Image.fromarray(datasets.load_sample_image(f"{name}.jpg")) for name in PICTURES]
    if channels == 1:
        pictures = [picture.convert("L") for picture in pictures]

    def part(name: str, bands: list[int], count: int) -> Samples:
        rng = numpy_rng(seed, f"textures {name}")
        pixels = [_patch(p, rng, bands, size) for p in pictures for _ in range(count)]
        y_N = np.repeat(np.arange(len(PICTURES)), count).astype(np.int64)
        return Samples(scaled(np.stack(pixels)), y_N)

    others = [band for band in range(_NUM_BANDS) if band not in TEST_BANDS]
    train = part("train", others, patches)
    return Dataset(
        "textures", train, part("test", list(TEST_BANDS), patches // 4), PICTURES, "image"
    )


def _patch(picture: Any, rng: np.random.Generator, bands: list[int], size: int) -> Any:
    """Return a patch of a picture as uint8, cut out at random within one of the bands."""
    left = BAND * int(rng.choice(bands)) + int(rng.integers(BAND - CUT + 1))
    top = int(rng.integers(picture.height - CUT + 1))
    from PIL import Image

    patch = picture.crop((left, top, left + CUT, top + CUT))
    return np.array(patch.resize((size, size), Image.Resampling.BOX))
