"""Glyphs of the 39 characters of paper 000: 0-9, A-Z, Č, Š, Ž as strokes of lines and arcs.

Height 1, width up to 1, y upwards. Points are dense, so that a glyph can be bent.
"""

import itertools

import numpy as np

from flwr_gan.data.drawing import FloatArray

Glyph = tuple[FloatArray, ...]

_POINT_DISTANCE = 0.08
# Height of a letter under its caron, as a share of the full height.
_UNDER_CARON = 0.72


def _line(*points: tuple[float, float]) -> FloatArray:
    """Return the polyline through `points`."""
    corners = np.array(points)
    pieces = [corners[:1]]
    for start, end in itertools.pairwise(corners):
        steps = max(1, round(float(np.hypot(*(end - start))) / _POINT_DISTANCE))
        pieces.append(start + (end - start) * (np.arange(1, steps + 1) / steps)[:, None])
    return np.concatenate(pieces)


def _arc(x: float, y: float, width: float, height: float, start: int, stop: int) -> FloatArray:
    """Return an arc of the ellipse around (x, y) with these half axes, from and to degrees."""
    steps = max(2, round(np.radians(abs(stop - start)) * max(width, height) / _POINT_DISTANCE))
    angle = np.radians(np.linspace(start, stop, steps + 1))
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def _join(*pieces: FloatArray) -> FloatArray:
    """Return one stroke through the pieces, one after the other."""
    return np.concatenate(pieces)


def _with_caron(letter: Glyph) -> Glyph:
    points = np.concatenate(letter)
    middle = float(points[:, 0].min() + points[:, 0].max()) / 2
    caron = _line((middle - 0.22, 1), (middle, 0.8), (middle + 0.22, 1))
    return (*(stroke * (1, _UNDER_CARON) for stroke in letter), caron)


GLYPHS: dict[str, Glyph] = {
    "0": (_arc(0.3, 0.5, 0.3, 0.5, 90, 450),),
    "1": (_line((0, 0.68), (0.35, 1), (0.35, 0)),),
    "2": (_join(_arc(0.33, 0.7, 0.32, 0.3, 165, -35), _line((0, 0), (0.7, 0))),),
    "3": (_join(_arc(0.3, 0.76, 0.29, 0.24, 150, -90), _arc(0.3, 0.26, 0.35, 0.26, 90, -150)),),
    "4": (_line((0.42, 1), (0, 0.35), (0.7, 0.35)), _line((0.5, 0.65), (0.5, 0))),
    "5": (
        _join(_line((0.1, 1), (0.07, 0.58)), _arc(0.28, 0.32, 0.37, 0.32, 120, -140)),
        _line((0.1, 1), (0.62, 1)),
    ),
    "6": (_join(_arc(0.6, 0.3, 0.6, 0.7, 105, 180), _arc(0.31, 0.28, 0.31, 0.28, 190, 540)),),
    "7": (_line((0, 1), (0.65, 1), (0.2, 0)), _line((0.12, 0.5), (0.62, 0.5))),
    "8": (_join(_arc(0.33, 0.76, 0.27, 0.24, -90, 270), _arc(0.33, 0.26, 0.33, 0.26, 90, -270)),),
    "9": (_join(_arc(0.31, 0.7, 0.31, 0.3, 20, 360), _line((0.62, 0.7), (0.5, 0))),),
    "A": (_line((0, 0), (0.38, 1), (0.76, 0)), _line((0.15, 0.36), (0.61, 0.36))),
    "B": (
        _line((0, 1), (0, 0)),
        _join(_arc(0, 0.76, 0.5, 0.24, 90, -90), _arc(0, 0.26, 0.6, 0.26, 90, -90)),
    ),
    "C": (_arc(0.45, 0.5, 0.45, 0.5, 50, 310),),
    "D": (_line((0, 1), (0, 0)), _arc(0, 0.5, 0.68, 0.5, 90, -90)),
    "E": (
        _line((0, 1), (0, 0), (0.6, 0)),
        _line((0, 1), (0.6, 1)),
        _line((0, 0.52), (0.5, 0.52)),
    ),
    "F": (_line((0, 1), (0, 0)), _line((0, 1), (0.6, 1)), _line((0, 0.52), (0.5, 0.52))),
    "G": (_join(_arc(0.45, 0.5, 0.45, 0.5, 55, 335), _line((0.86, 0.45), (0.48, 0.45))),),
    "H": (_line((0, 1), (0, 0)), _line((0.7, 1), (0.7, 0)), _line((0, 0.5), (0.7, 0.5))),
    "I": (_line((0.25, 1), (0.25, 0)), _line((0, 1), (0.5, 1)), _line((0, 0), (0.5, 0))),
    "J": (
        _join(_line((0.5, 1), (0.5, 0.3)), _arc(0.25, 0.28, 0.25, 0.28, 0, -160)),
        _line((0.22, 1), (0.78, 1)),
    ),
    "K": (_line((0, 1), (0, 0)), _line((0.6, 1), (0, 0.45), (0.65, 0))),
    "L": (_line((0, 1), (0, 0), (0.6, 0)),),
    "M": (_line((0, 0), (0.1, 1), (0.45, 0.3), (0.8, 1), (0.9, 0)),),
    "N": (_line((0, 0), (0, 1), (0.7, 0), (0.7, 1)),),
    "O": (_arc(0.48, 0.5, 0.48, 0.5, 90, 450),),
    "P": (_line((0, 1), (0, 0)), _arc(0, 0.74, 0.55, 0.26, 90, -90)),
    "Q": (_arc(0.48, 0.5, 0.48, 0.5, 90, 450), _line((0.58, 0.35), (0.98, 0))),
    "R": (
        _line((0, 1), (0, 0)),
        _join(_arc(0, 0.74, 0.55, 0.26, 90, -90), _line((0, 0.48), (0.6, 0))),
    ),
    "S": (_join(_arc(0.33, 0.75, 0.3, 0.25, 35, 270), _arc(0.33, 0.25, 0.33, 0.25, 90, -150)),),
    "T": (_line((0.35, 1), (0.35, 0)), _line((0, 1), (0.7, 1))),
    "U": (
        _join(
            _line((0, 1), (0, 0.35)),
            _arc(0.35, 0.35, 0.35, 0.35, 180, 360),
            _line((0.7, 0.35), (0.7, 1)),
        ),
    ),
    "V": (_line((0, 1), (0.35, 0), (0.7, 1)),),
    "W": (_line((0, 1), (0.22, 0), (0.47, 0.7), (0.72, 0), (0.94, 1)),),
    "X": (_line((0, 1), (0.7, 0)), _line((0.7, 1), (0, 0))),
    "Y": (_line((0, 1), (0.35, 0.5), (0.7, 1)), _line((0.35, 0.5), (0.35, 0))),
    "Z": (_line((0, 1), (0.7, 1), (0, 0), (0.7, 0)),),
}
GLYPHS |= {letter: _with_caron(GLYPHS[plain]) for letter, plain in zip("ČŠŽ", "CSZ", strict=True)}
