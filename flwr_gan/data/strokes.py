"""``strokes``: the 39 characters of paper 000 drawn by synthetic writers; no download.

It has the shape of the paper's own data set (section 4): 3,314 samples of 10 vectors (dx, dy, pen).
The samples themselves are drawn here, so results on them are not results on the paper's data.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from flwr_gan.core.settings import Within, checked
from flwr_gan.data.dataset import Dataset, Samples, split_by_writer
from flwr_gan.data.drawing import FloatArray, NumVectors, strokes_to_vectors
from flwr_gan.data.glyphs import GLYPHS, Glyph
from flwr_gan.seeding import numpy_rng

CHARACTERS = tuple(GLYPHS)
# In heights of a large character; no move of a drawing is longer.
_EXTENT = 1.2
# Drawn glyphs turn by less within a curve and by more at a corner.
_CORNER_DEG = 50.0
_NUM_WAVES = 3


@dataclass(frozen=True, kw_only=True)
class Hand:
    """The parameters of a writer's hand."""

    slant: float  # how far the top of a character leans to the right, in heights
    size: float  # height of a character, at most 1
    width: float  # factor on the width of a character
    tilt_rad: float  # turn of the whole character
    roughness: float  # how far a stroke strays, in heights

    @classmethod
    def drawn_from(cls, rng: np.random.Generator) -> "Hand":
        """Return a random hand."""
        return cls(
            slant=rng.uniform(-0.12, 0.32),
            size=rng.uniform(0.6, 0.95),
            width=rng.uniform(0.8, 1.15),
            tilt_rad=rng.normal(0, 0.04),
            roughness=rng.uniform(0.01, 0.05),
        )


def load_strokes(
    *,
    num_vectors: int = 10,
    num_samples: int = 3314,
    num_writers: int = 34,
    test_fraction: float = 0.25,
    split_seed: int = 0,
) -> Dataset:
    """Return drawn characters as vectors (dx, dy, pen), all scaled alike, so that sizes differ.

    Parameters
    ----------
    num_vectors : int
        T, vectors per sample, 1 to 1,000.
    num_samples : int
        Total number of samples, at least 78; every writer draws the characters in turn, about
        equally often.
    num_writers : int
        Total number of writers, at least 2.
    test_fraction : float
        Share of the writers that are held out.
    split_seed : int
        Seed of the hands, the samples and the held-out writers; it is not the seed of the run.

    Raises
    ------
    ConfigError
        When a setting is out of range.
    """
    checked("data.num_vectors", num_vectors, NumVectors)
    least = Within(at_least=2 * len(CHARACTERS))
    checked("data.num_samples", num_samples, Annotated[int, least])
    most = Within(at_least=2, at_most=num_samples)
    checked("data.num_writers", num_writers, Annotated[int, most])
    number_N = np.arange(num_samples)
    y_N = number_N % len(CHARACTERS)
    writer_N = number_N * num_writers // num_samples
    rngs = [numpy_rng(split_seed, "strokes", partition=writer) for writer in range(num_writers)]
    hands = [Hand.drawn_from(rng) for rng in rngs]
    x_NTC = np.stack(
        [
            strokes_to_vectors(
                write(GLYPHS[CHARACTERS[label]], hands[writer], rngs[writer]),
                num_vectors=num_vectors,
                extent=_EXTENT,
                corner_deg=_CORNER_DEG,
            )
            for label, writer in zip(y_N, writer_N, strict=True)
        ]
    )
    samples = Samples(x_NTC, y_N.astype(np.int64), writer_N.astype(np.int64))
    train, test = split_by_writer(samples, test_fraction=test_fraction, split_seed=split_seed)
    return Dataset(name="strokes", train=train, test=test, class_names=CHARACTERS, kind="strokes")


def write(glyph: Glyph, hand: Hand, rng: np.random.Generator) -> list[FloatArray]:
    """Return the strokes of one sample, height about `hand.size`, y upwards.

    ``glyph`` has height 1; ``rng`` gives the differences between a writer's own samples.
    """
    slant = hand.slant + rng.normal(0, 0.04)
    tilt = hand.tilt_rad + rng.normal(0, 0.03)
    width = hand.width * (1 + rng.normal(0, 0.05))
    size = hand.size * (1 + 0.05 * rng.uniform(-1, 1))
    shear = np.array([[width, slant], [0.0, 1.0]])
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    matrix = size * turn @ shear

    # A sum of random waves over the paper bends all strokes of a sample smoothly and alike.
    wave_W2 = rng.normal(0, 3.5, size=(_NUM_WAVES, 2))
    phase_W2 = rng.uniform(0, 2 * np.pi, size=(_NUM_WAVES, 2))
    strokes = []
    for stroke in glyph:
        angle_PW2 = (stroke @ wave_W2.T)[..., None] + phase_W2
        bent = stroke + hand.roughness * np.sin(angle_PW2).sum(axis=1)
        strokes.append((bent + rng.normal(0, hand.roughness, size=2)) @ matrix.T)
    return strokes
