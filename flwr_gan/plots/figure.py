"""Writing figures to files, completely or not at all."""

from pathlib import Path

from matplotlib.figure import Figure

from flwr_gan.core.atomic import replacing
from flwr_gan.errors import OutputError


def save_figure(figure: Figure, path: str | Path, *, dpi: int = 120) -> None:
    """Write a figure in the format that the file's ending names, such as ``.png`` or ``.svg``.

    A file that is there is replaced once the new one is complete. Raises OutputError when the
    format is unknown or the file cannot be written.
    """
    path = Path(path)
    ending = path.suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if ending not in known:
        raise OutputError(f"cannot write {path}: its ending must be one of {', '.join(known)}")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=ending, dpi=dpi)
