"""Files are found, fetched and checked."""

import gzip
import hashlib
import urllib.request
from pathlib import Path

import pytest

from flwr_gan.data.sources import SourceFile, cache_folder, data_folders, fetch, read_source
from flwr_gan.errors import DataError

CONTENT = b"pen and ink " * 100


def make_file(*, path: str = "toy/data.bin", urls: tuple[str, ...] = ()) -> SourceFile:
    return SourceFile(
        path=path,
        num_bytes=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        urls=urls or ("https://nowhere.invalid/data.bin",),
    )


def put(folder: Path, content: bytes, *, path: str = "toy/data.bin") -> Path:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    real = urllib.request.urlopen

    def local_only(url: str, timeout: float) -> object:
        if not url.startswith("file://"):
            raise urllib.request.URLError("no network in tests")
        return real(url, timeout=timeout)

    monkeypatch.setattr(urllib.request, "urlopen", local_only)


def test_folders_are_searched_in_order(no_data: Path) -> None:
    places = [no_data / "mine", no_data / "shared", no_data / "data", no_data / "cache/flwr_gan"]
    places[0].mkdir()
    assert data_folders(places[0]) == places
    for place in reversed(places):
        put(place, CONTENT)
    for place in places:
        assert read_source(make_file(), folder=places[0], download=False) == CONTENT
        # Spoilt, it would be noticed: so this was the one that was read.
        (place / "toy/data.bin").write_bytes(CONTENT[:-1])
        with pytest.raises(DataError, match="truncated") as caught:
            read_source(make_file(), folder=places[0], download=False)
        assert str(place) in str(caught.value)
        (place / "toy/data.bin").unlink()


def test_the_cache_folder_falls_back_to_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for unset in ("", "not/absolute"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_folder() == tmp_path / ".cache/flwr_gan"


def test_a_named_folder_that_is_none_is_an_error(
    no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"data\.folder=nowhere is not a folder"):
        read_source(make_file(), folder="nowhere")
    monkeypatch.setenv("FLWR_GAN_DATA", "/no/such/place")
    with pytest.raises(DataError, match="FLWR_GAN_DATA=/no/such/place is not a folder"):
        read_source(make_file())


def test_a_missing_file_says_where_it_was_looked_for_and_how_to_get_it(no_data: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_source(make_file(), download=False)
    message = str(caught.value)
    for part in ("toy/data.bin", "shared", "data", "cache/flwr_gan", "https://nowhere.invalid"):
        assert part in message
    assert "FLWR_GAN_DATA" in message
    assert "\n" not in message


def test_without_network_the_error_gives_the_reason_too(no_data: Path) -> None:
    with pytest.raises(DataError, match=r"not found in .*no network in tests.*fetch it from"):
        read_source(make_file())
    assert not (no_data / "cache").exists()


@pytest.mark.parametrize("path", ["toy/data.bin", "toy/data.gz"])
def test_a_download_is_checked_kept_and_read_from_then_on(no_data: Path, path: str) -> None:
    origin = no_data / "origin"
    origin.write_bytes(gzip.compress(CONTENT) if path.endswith(".gz") else CONTENT)
    file = make_file(path=path, urls=("https://nowhere.invalid/x", origin.as_uri()))
    assert read_source(file) == CONTENT
    assert (no_data / "cache/flwr_gan" / path).read_bytes() == origin.read_bytes()
    origin.unlink()
    assert read_source(file) == CONTENT


@pytest.mark.parametrize("wrong", [CONTENT[:-1], CONTENT + b"x", b"", b"X" * len(CONTENT)])
def test_a_wrong_download_leaves_nothing_behind(tmp_path: Path, wrong: bytes) -> None:
    origin = put(tmp_path, wrong, path="origin")
    target = tmp_path / "cache/toy/data.bin"
    with pytest.raises(DataError, match=r"download failed: file://.*(truncated|sha256)"):
        fetch(make_file(urls=(origin.as_uri(),)), target)
    assert not target.parent.exists()


def test_a_download_that_cannot_be_kept_is_an_error(no_data: Path) -> None:
    origin = put(no_data, CONTENT, path="origin")
    (no_data / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot be kept in"):
        read_source(make_file(urls=(origin.as_uri(),)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:100], "truncated: 100 of 1200 bytes"),
        (CONTENT + b"x", "sha256 differs"),
        (b"x" + CONTENT[1:], "sha256 differs"),
    ],
)
def test_a_spoilt_file_is_named_with_the_reason(no_data: Path, content: bytes, reason: str) -> None:
    path = put(no_data / "shared", content)
    with pytest.raises(DataError, match=reason) as caught:
        read_source(make_file())
    assert str(path) in str(caught.value)


def test_gzip_is_checked_and_bounded(no_data: Path) -> None:
    file = make_file(path="toy/data.gz")
    path = put(no_data / "shared", gzip.compress(CONTENT), path=file.path)
    assert read_source(file) == CONTENT
    path.write_bytes(gzip.compress(CONTENT)[:-30])
    with pytest.raises(DataError, match="truncated"):
        read_source(file)
    path.write_bytes(b"no gzip at all")
    with pytest.raises(DataError, match="not a gzip file"):
        read_source(file)
    # A gigabyte of zeros in a megabyte: never inflated.
    path.write_bytes(gzip.compress(bytes(1 << 26)))
    with pytest.raises(DataError, match="sha256 differs"):
        read_source(file)


def test_a_file_that_cannot_be_read_is_an_error(
    no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(no_data / "shared", CONTENT)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="cannot be read: Permission denied") as caught:
        read_source(make_file())
    assert str(path) in str(caught.value)


def test_gzip_of_several_members_is_read(no_data: Path) -> None:
    file = make_file(path="toy/data.gz")
    parts = [gzip.compress(CONTENT[i : i + 500]) for i in range(0, len(CONTENT), 500)]
    path = put(no_data / "shared", b"".join(parts) + bytes(16), path=file.path)
    assert read_source(file) == CONTENT
    path.write_bytes(b"".join(parts[:-1]))
    with pytest.raises(DataError, match="truncated: 1000 of 1200"):
        read_source(file)
