"""A mapping with a memory limit: further values are kept on disk."""

import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

from flwr_gan.errors import OutputError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Spill(Generic[K, V]):
    """Keeps values; the least recently set ones are moved to a temporary folder.

    `size` returns the bytes of a value, `write` and `read` its form on disk. `what` names a value
    in errors, and `remedy` is the advice for a full disk.
    """

    def __init__(
        self,
        *,
        memory_bytes: int,
        size: Callable[[V], int],
        write: Callable[[V], bytes],
        read: Callable[[bytes], V],
        what: str,
        remedy: str = "let TMPDIR name a folder with more room",
    ) -> None:
        self._memory_bytes = memory_bytes
        self._size, self._write, self._read = size, write, read
        self._what, self._remedy = what, remedy
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._held_bytes = 0
        self._folder: Path | None = None
        self._on_disk: dict[K, int] = {}  # the number of its file
        self._files = 0

    def get(self, key: K) -> V | None:
        """Return a value, None if there is none; ``OutputError`` if it cannot be read."""
        if key in self._held:
            return self._held[key][0]
        if key not in self._on_disk:
            return None
        try:
            return self._read(self._path(self._on_disk[key]).read_bytes())
        except OSError as error:
            raise OutputError(f"cannot read {self._what} {key}: {error}") from error

    def put(self, key: K, value: V) -> None:
        """Keep a value; ``OutputError`` when there is no room for it on disk."""
        self.drop(key)
        self._held[key] = value, (size := self._size(value))
        self._held_bytes += size
        while self._held_bytes > self._memory_bytes:
            self._spill(*next(iter(self._held.items())))

    def drop(self, key: K) -> None:
        """Forget a value, if there is one."""
        _, before = self._held.pop(key, (None, 0))
        self._held_bytes -= before
        if key in self._on_disk:
            self._path(self._on_disk.pop(key)).unlink(missing_ok=True)

    def __len__(self) -> int:
        """Return the number of kept values."""
        return len(self._held) + len(self._on_disk)

    def close(self) -> None:
        """Forget all values and remove the temporary folder."""
        self._held.clear()
        self._on_disk.clear()
        self._held_bytes = 0
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _spill(self, key: K, held: tuple[V, int]) -> None:
        value, size = held
        self._files += 1
        try:
            self._path(self._files).write_bytes(self._write(value))
        except OSError as error:
            raise OutputError(
                f"cannot write {self._what} {key}: {error}; {self._remedy}"
            ) from error
        self._on_disk[key] = self._files
        del self._held[key]
        self._held_bytes -= size

    def _path(self, number: int) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="flwr_gan_"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder / str(number)
