"""Search, download and verification of data files.

A file is searched in the folder named by ``FLWR_GAN_DATA``, then in ``data/`` of the working
folder, then in the user's cache folder; if it is in none of them, it is downloaded into the last.
The content is compared with a known sha256, so that every machine computes on the same bytes.
"""

import hashlib
import http.client
import logging
import os
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from flwr_gan.core.atomic import write_bytes
from flwr_gan.errors import DataError, OutputError

logger = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "FLWR_GAN_DATA"
# A gzip stream of incompressible bytes is hardly longer than the bytes.
_GZIP_SLACK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file of a data set."""

    path: str  # below a data folder; .gz is gunzipped when read, and also found gunzipped
    num_bytes: int  # of its uncompressed content; more is never allocated
    sha256: str  # of its content, uncompressed
    urls: tuple[str, ...]  # addresses, tried in order
    other_paths: tuple[str, ...] = ()  # its places below a data folder in other tools

    @property
    def paths(self) -> list[str]:
        """All places below a data folder, in the order in which they are searched."""
        known = (self.path, *self.other_paths)
        return [name for path in known for name in dict.fromkeys((path, path.removesuffix(".gz")))]


def cache_folder() -> Path:
    """Return the folder below the user's cache folder that downloads go to."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "flwr_gan"


def data_folders(folder: str | Path | None = None) -> list[Path]:
    """Return the folders that are searched, in order.

    ``folder`` comes first. Raises DataError if it or ``FLWR_GAN_DATA`` is not a folder.
    """
    named = {"data.folder": folder, ENVIRONMENT_VARIABLE: os.environ.get(ENVIRONMENT_VARIABLE)}
    found = []
    for setting, value in named.items():
        if value:
            path = Path(str(value)).expanduser()
            if not path.is_dir():
                raise DataError(f"{setting}={value} is not a folder; name one that exists")
            found.append(path)
    return [*found, Path("data").absolute(), cache_folder()]


def read_source(
    file: SourceFile, *, folder: str | Path | None = None, download: bool = True
) -> bytes:
    """Return the verified, uncompressed content of a file; download it if it is missing.

    ``folder`` is searched first; ``download`` allows a download into the cache folder. Raises
    DataError when the file is missing and cannot be downloaded, or has the wrong content.
    """
    folders = data_folders(folder)
    for candidate in folders:
        for path in map(candidate.joinpath, file.paths):
            if path.is_file():
                return _checked_content(_read(path, file), path, file, path.suffix == ".gz")
    reason = ""
    if download:
        target = folders[-1] / file.path
        try:
            return fetch(file, target)
        except DataError as error:
            reason = f" ({error})"
    places = ", ".join(str(candidate) for candidate in folders)
    others = [name for name in file.paths if name != file.path]
    or_others = f" (nor {', '.join(others)})" if others else ""
    raise DataError(
        f"{file.path} not found in {places}{or_others}{reason}; fetch it from {file.urls[0]} into "
        f"one of these folders, or set {ENVIRONMENT_VARIABLE} to the folder that holds it"
    )


def fetch(file: SourceFile, target: Path, *, timeout_s: float = 10.0) -> bytes:
    """Download a file to `target` and return its content; write nothing unless verified.

    The file is kept as received, compressed or not. A server may be silent for ``timeout_s``
    seconds. Raises DataError when no address serves the right bytes or `target` cannot be written.
    """
    reasons = []
    for url in file.urls:
        logger.info("downloading %s", url)
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as response:
                raw = response.read(file.num_bytes + _GZIP_SLACK + 1)
            content = _checked_content(raw, url, file, file.path.endswith(".gz"))
        except (OSError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        except DataError as error:
            reasons.append(str(error))
            continue
        try:
            write_bytes(target, raw)
        except OutputError as error:
            raise DataError(f"{file.path} cannot be kept in {target.parent}") from error
        return content
    raise DataError("download failed: " + "; ".join(reasons))


def _read(path: Path, file: SourceFile) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(file.num_bytes + _GZIP_SLACK + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _checked_content(raw: bytes, origin: str | Path, file: SourceFile, gzipped: bool) -> bytes:
    content = _gunzip(raw, origin, file.num_bytes) if gzipped else raw
    remedy = "remove it so that it is fetched again" if isinstance(origin, Path) else "not used"
    if len(content) < file.num_bytes:
        raise DataError(
            f"{origin} is truncated: {len(content)} of {file.num_bytes} bytes; {remedy}"
        )
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(f"{origin} is not the expected file: its sha256 differs; {remedy}")
    return content


def _gunzip(raw: bytes, origin: str | Path, max_bytes: int) -> bytes:
    """Gunzip at most ``max_bytes + 1`` bytes, of one member after another.

    For a truncated stream, the readable part is returned.
    """
    content = b""
    try:
        while raw and len(content) <= max_bytes:
            inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            content += inflater.decompress(raw, max_bytes + 1 - len(content))
            raw = inflater.unused_data.lstrip(b"\0")  # zeros may separate members
        return content
    except zlib.error as error:
        raise DataError(f"{origin} is not a gzip file, or is corrupt: {error}") from error
