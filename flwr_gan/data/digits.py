"""``digits``: scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, embedded in the library."""

from typing import Annotated

import numpy as np

from flwr_gan.core.settings import Within, checked
from flwr_gan.data.dataset import Dataset, Samples
from flwr_gan.seeding import derive_seed


def load_digits(*, test_fraction: float = 0.2, split_seed: int = 0) -> Dataset:
    """Return the digits as 8 rows of 8 pixels, 0 .. 16 scaled to [-1, 1].

    Parameters
    ----------
    test_fraction : float
        Held-out share of every class, above 0.01 and below 0.99, so that each class is in both
        parts.
    split_seed : int
        Seed of the split; it is not the seed of the run, so that runs share their test samples.

    Raises
    ------
    ConfigError
        When `test_fraction` is out of range.
    """
    inside = Annotated[float, Within(above=0.01, below=0.99)]
    checked("data.test_fraction", test_fraction, inside)
    # Imported here: it takes a second.
    from sklearn import datasets, model_selection

    images, labels = datasets.load_digits(return_X_y=True)
    samples = Samples(
        (images.reshape(-1, 8, 8) / 8 - 1).astype(np.float32), labels.astype(np.int64)
    )
    train, test = model_selection.train_test_split(
        np.arange(len(samples)),
        test_size=test_fraction,
        stratify=labels,
        random_state=derive_seed(split_seed, "digits split") % 2**32,
    )
    return Dataset(
        name="digits",
        train=samples.take(np.sort(train)),
        test=samples.take(np.sort(test)),
        class_names=tuple("0123456789"),
        kind="image",
    )
