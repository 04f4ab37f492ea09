"""A table that grows row by row, survives an interruption and never does a row twice."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from flwr_gan.core.atomic import write_text
from flwr_gan.errors import OutputError


class Rows:
    """Rows under a key, read from a CSV file and written back to it.

    ``key`` are the columns that tell a row from all others.
    """

    def __init__(self, path: Path, key: Sequence[str]) -> None:
        self._path, self._key = path, tuple(key)
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path.exists():
            try:
                table = pd.read_csv(path)
                keys = zip(*(table[column].tolist() for column in self._key), strict=True)
                for key, (_, row) in zip(keys, table.iterrows(), strict=True):
                    self._rows[key] = {str(name): value for name, value in row.items()}
            except (KeyError, ValueError) as error:
                raise OutputError(f"{path} cannot be read: {error}; delete it") from error

    def __contains__(self, key: object) -> bool:
        """Return whether the row is there."""
        return key in self._rows

    def add(self, key: tuple[Any, ...], row: Mapping[str, Any]) -> None:
        """Add a row; ``write`` keeps it."""
        self._rows[key] = dict(zip(self._key, key, strict=True)) | dict(row)

    @property
    def all(self) -> list[dict[str, Any]]:
        """All rows."""
        return list(self._rows.values())

    def write(self) -> None:
        """Write all rows, completely or not at all."""
        table = pd.DataFrame(self.all)
        write_text(self._path, table.to_csv(index=False, float_format="%.6g"))
