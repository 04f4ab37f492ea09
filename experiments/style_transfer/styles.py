"""Two styles of the data set ``strokes``: unpaired training samples, paired test samples.

Style A is the data set as it is, style B the last stage of ``drift=style``. N samples, T vectors,
C components.
"""

from functools import lru_cache
from typing import NamedTuple

from flwr_gan.data import Dataset, Samples
from flwr_gan.data.drift import DriftContext
from flwr_gan.data.strokes import load_strokes
from flwr_gan.data.style_drift import StyleDrift
from flwr_gan.metrics import SampleJudge
from flwr_gan.seeding import derive_seed

STYLE = StyleDrift(degrees=30.0, slant=0.3)
TRAINED_ON, HELD_OUT = ("style A", "style B"), "style pairs"


class Styles(NamedTuple):
    """The training samples, and the samples and judge for scores."""

    train_A: Samples  # each data set, and the pairs, has its own seed
    train_B: Samples
    real_B: Samples  # by other writers than ``train_B``
    pair_A: Samples  # the same drawings in both styles
    pair_B: Samples
    judge: SampleJudge  # trained on ``train_B``


@lru_cache(maxsize=1)
def load_styles(seed: int, num_samples: int) -> Styles:
    """Draw three data sets of ``num_samples`` samples each, a quarter of them held out."""
    a, b, pairs = (drawn(seed, purpose, num_samples) for purpose in (*TRAINED_ON, HELD_OUT))
    train_B, real_B = (in_style_B(part, b) for part in (b.train, b.test))
    judge = SampleJudge(train_B, real_B, num_classes=b.num_classes, seed=seed)
    pair_B = in_style_B(pairs.test, pairs)
    return Styles(a.train, train_B, real_B, pairs.test, pair_B, judge)


def drawn(seed: int, purpose: str, num_samples: int) -> Dataset:
    """Draw a data set in style A."""
    return load_strokes(num_samples=num_samples, split_seed=derive_seed(seed, purpose))


def in_style_B(samples: Samples, dataset: Dataset) -> Samples:
    """Return samples in style B: the same drawings, turned and slanted."""
    context = DriftContext(num_classes=dataset.num_classes, kind=dataset.kind, seed=0)
    return STYLE.styled(samples, context, stage=STYLE.stages - 1)
