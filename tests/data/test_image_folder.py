"""A folder of pictures: order, sizes, what is broken and what is no picture."""

import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from flwr_gan.data.image_folder import load_image_folder
from flwr_gan.data.pictures import read_picture
from flwr_gan.errors import ConfigError, DataError
from tests.data.folders import encoded, image_folder, pictures


@pytest.fixture
def root(tmp_path):
    return image_folder(tmp_path / "own")


def load(root, **settings):
    return load_image_folder(root=root, **{"size": 7, **settings})


def test_classes_and_files_are_in_the_order_of_their_names(root):
    found = load(root, test_fraction=0.01)
    assert (found.name, found.class_names, found.kind) == ("own", ("a", "b"), "image")
    assert found.form == "7 x 7 x 3"
    assert np.bincount(found.train.y_N).tolist() == [4, 4]
    assert np.bincount(found.test.y_N).tolist() == [1, 1]
    expected = [
        np.asarray(Image.open(root / name / f"{at}.png").crop((1, 0, 8, 7)), np.float32) / 127.5 - 1
        for name in "ab"
        for at in range(5)
    ]
    everything = iter(expected)
    for sample in found.train.x_NTC:  # an ordered part of all
        assert any(np.array_equal(sample, other) for other in everything)


def test_other_files_are_no_pictures(root):
    before = load(root)
    (root / "notes.txt").write_text("x")
    (root / ".cache").mkdir()
    (root / "a" / "Thumbs.db").write_bytes(b"x")
    (root / "a" / ".hidden.png").write_bytes(b"x")
    np.testing.assert_array_equal(load(root).train.x_NTC, before.train.x_NTC)


def test_broken_pictures_are_named_or_left_out(root, caplog):
    (root / "a" / "1.png").write_bytes(b"no picture")
    whole = (root / "b" / "3.png").read_bytes()
    (root / "b" / "3.png").write_bytes(whole[:60])
    with pytest.raises(
        DataError, match=r"cannot read 2 of 10 pictures: a.1\.png .*b.3\.png"
    ) as info:
        load(root)
    assert "\n" not in str(info.value)
    assert "data.skip_broken=true" in str(info.value)
    found = load(root, skip_broken=True)
    assert len(found.train) + len(found.test) == 8
    assert "left out 2 of 10 pictures: a/1.png" in caplog.text


def test_names_of_classes_may_be_given(root):
    found = load(root, class_names=["b", "z", "a"])
    assert found.class_names == ("b", "z", "a")
    assert np.bincount(found.train.y_N).tolist() == [4, 0, 4]
    with pytest.raises(DataError, match=r"holds a: one sub-folder for each class of b is expected"):
        load(root, class_names=["b"])


def test_without_a_folder_there_is_the_form_alone():
    found = load_image_folder(size=16, class_names=["a", "b"])
    assert (found.form, found.class_names, len(found.train)) == ("16 x 16 x 3", ("a", "b"), 0)
    assert load_image_folder(size=16, channels=1, class_names=["a"]).form == "16 x 16"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"root": None}, r"data\.root=null: give a folder"),
        ({"root": "/nowhere"}, r"data\.root=/nowhere is not a folder"),
        ({"size": 3}, r"data\.size=3 is not allowed"),
        ({"size": 10_000}, r"data\.size=10000 is not allowed"),
        ({"channels": 2}, r"data\.channels=2 is not allowed: give 1 or 3"),
        ({"skip_broken": "yes"}, r"data\.skip_broken='yes'"),
        ({"test_fraction": 1.5}, r"data\.test_fraction=1\.5"),
    ],
)
def test_a_wrong_setting_is_named(root, settings, message):
    with pytest.raises((ConfigError, DataError), match=message):
        load(**{"root": root, **settings})


def test_folders_of_another_form_are_refused(tmp_path, root):
    with pytest.raises(DataError, match=r"own holds the folder a.*such as .*own$"):
        load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no sub-folders: one sub-folder for each class"):
        load(tmp_path / "empty")
    (root / "c").mkdir()
    (root / "c" / "x.heic").write_bytes(b"x")
    with pytest.raises(DataError, match=r"c holds no picture: \.png, "):
        load(root)


def test_too_many_pictures_are_refused_before_one_is_read(root, monkeypatch):
    (root / "a" / "1.png").write_bytes(b"no picture")
    monkeypatch.setattr("flwr_gan.data.dataset.MOST_BYTES", 1000)
    with pytest.raises(DataError, match=r"own: 10 samples of 7 x 7 x 3 take"):
        load(root)


@pytest.mark.parametrize("ending", ["png", "jpeg", "bmp", "gif", "webp", "tiff", "ppm"])
@pytest.mark.parametrize("channels", [1, 3])
def test_common_formats_are_read(ending, channels):
    found = read_picture(encoded(pictures(1)[0], ending), size=16, channels=channels)
    assert found.dtype == np.uint8
    assert found.shape == ((16, 16) if channels == 1 else (16, 16, 3))


def test_a_wide_picture_is_cut_to_its_middle_square():
    picture = Image.new("RGB", (30, 10), "red")
    picture.paste("blue", (10, 0, 20, 10))
    found = read_picture(encoded(picture), size=10, channels=3)
    assert (found == (0, 0, 255)).all()


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    picture = Image.new("RGB", (8, 8), "black")
    picture.paste("white", (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # the right side is up
    picture.save(tmp_path / "turned.png", exif=exif)
    found = read_picture(tmp_path / "turned.png", size=8, channels=1)
    assert (found[:, 4:] == 255).all()
    assert (found[:, :4] == 0).all()


def test_what_is_transparent_becomes_white():
    found = read_picture(encoded(Image.new("RGBA", (8, 8), (255, 0, 0, 0))), size=8, channels=3)
    assert (found == 255).all()


def test_deep_pictures_are_refused():
    deep = Image.fromarray(np.full((8, 8), 40_000, np.uint16))
    with pytest.raises(DataError, match="more than 8 bits per channel"):
        read_picture(encoded(deep), size=8, channels=1)


def test_other_formats_are_refused_whatever_they_are_called(tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(encoded(pictures(1)[0], "tga"))
    with pytest.raises(DataError, match="it is none of PNG, JPEG"):
        read_picture(path, size=8, channels=1)


@pytest.mark.parametrize("side", [11_000, 40_000])  # between Pillow's two limits, and above both
def test_a_picture_that_says_it_is_huge_is_refused(side):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 64))
    with pytest.raises(DataError, match=r"exceeds limit of \d+ pixels"):
        read_picture(bomb, size=8, channels=3)


@pytest.mark.parametrize("ending", ["png", "jpeg", "bmp", "gif", "webp", "tiff", "ppm"])
def test_damaged_pictures_raise_nothing_else(ending):
    whole = encoded(pictures(1)[0], ending)
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        for at in rng.integers(0, len(damaged), 3):
            damaged[at] = int(rng.integers(256))
        with suppress(DataError):
            assert read_picture(bytes(damaged), size=8, channels=3).shape == (8, 8, 3)
