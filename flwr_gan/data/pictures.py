"""Reading of picture files as square 8-bit images, shared by all picture data sets.

S rows and columns of an image.
"""

import io
import logging
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from flwr_gan.core.settings import Within, checked
from flwr_gan.data.dataset import Samples, check_size, scaled
from flwr_gan.errors import DataError

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Side = Annotated[int, Within(at_least=4, at_most=512)]
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
"""Supported formats, by Pillow's names; others are refused, whatever the file name is."""
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def image_shape(size: int, channels: int) -> tuple[int, ...]:
    """Return the shape of an image: (S, S) in grey, (S, S, 3) in red, green and blue.

    Raises ConfigError unless ``size`` is from 4 to 512 and ``channels`` 1 or 3.
    """
    checked("data.size", size, Side)
    checked("data.channels", channels, Literal[1, 3])
    return (size, size) if channels == 1 else (size, size, channels)


def read_picture(source: Path | bytes, *, size: int, channels: int) -> Pixels:
    """Return a picture as uint8 of shape (S, S), or (S, S, 3) with three channels.

    It is rotated according to EXIF, its transparent parts become white, and its middle square is
    resized to ``size``, bicubic. Of several frames the first is read. Raises DataError when the
    picture is damaged, of no format in ``FORMATS``, of more than 8 bits per channel, or has more
    pixels than Pillow's guard allows (89 million).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Between this limit and twice as much Pillow only warns.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            file = io.BytesIO(source) if isinstance(source, bytes) else source
            with Image.open(file, formats=FORMATS) as opened:
                if opened.mode in _DEEP_MODES:
                    raise DataError("it has more than 8 bits per channel: save it with 8")
                picture = ImageOps.exif_transpose(opened)
        if picture.has_transparency_data:
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture.convert("RGBA"))
        picture = picture.convert("L" if channels == 1 else "RGB")
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
        return np.array(picture, dtype=np.uint8)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(f"it is none of {', '.join(FORMATS)}") from error
    except Exception as error:  # Pillow's readers raise any error of their parsers
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise DataError(reason or type(error).__name__) from error


def read_pictures(
    place: str,
    names: Sequence[str],
    source: Callable[[int], Path | bytes],
    y_N: NDArray[np.int64],
    *,
    size: int,
    channels: int,
    skip_broken: bool,
) -> Samples:
    """Return the samples of pictures with labels, (N, S, S) or (N, S, S, 3).

    Parameters
    ----------
    place : str
        The setting with their location, such as ``data.root=DIR``, for errors.
    names : sequence of str
        The name of each picture in errors.
    source : callable
        Takes a picture's position in ``names`` and returns its path or its bytes.
    size, channels : int
        As ``read_picture`` takes them.
    skip_broken : bool
        Whether unreadable pictures are left out, with a warning that gives their number.

    Raises
    ------
    DataError
        When a picture cannot be read and none are left out, or all of them would take too much
        memory.
    """
    shape = image_shape(size, channels)
    check_size(place, len(names), shape)
    pixels = np.empty((len(names), *shape), np.uint8)
    kept: list[int] = []
    broken: list[str] = []
    for at, name in enumerate(names):
        try:
            pixels[len(kept)] = read_picture(source(at), size=size, channels=channels)
        except DataError as error:
            broken.append(f"{name} ({error})")
        else:
            kept.append(at)
    if broken:
        some = ", ".join(broken[:3]) + (f" and {len(broken) - 3} more" if broken[3:] else "")
        if not skip_broken:
            raise DataError(
                f"{place}: cannot read {len(broken)} of {len(names)} pictures: {some}; mend them, "
                "or leave them out with data.skip_broken=true"
            )
        logger.warning("%s: left out %d of %d pictures: %s", place, len(broken), len(names), some)
    return Samples(scaled(pixels[: len(kept)]), y_N[kept])
