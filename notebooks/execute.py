"""Execute notebooks and keep their outputs: ``python notebooks/execute.py NOTEBOOK...``.

What is kept depends on code and results alone: no times, no paths, no version of Python.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from flwr_gan.core.atomic import write_text

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path, *, timeout_s: int = 1800) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of a run from top to bottom; the file stays as it is.

    Parameters
    ----------
    path : Path
        The notebook; it runs in its own folder.
    timeout_s : int
        The longest that one cell may take.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=timeout_s,
        record_timing=False,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    client.execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def main(paths: Sequence[str]) -> None:
    """Execute notebooks in place."""
    for path in map(Path, paths):
        write_text(path, nbformat.writes(execute(path)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
