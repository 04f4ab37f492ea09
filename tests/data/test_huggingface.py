"""Sets of the library ``datasets`` on disk: columns, splits, files, and no network."""

import socket

import numpy as np
import pandas as pd
import pytest

from flwr_gan.data.huggingface import load_huggingface
from flwr_gan.data.image_folder import load_image_folder
from flwr_gan.errors import ConfigError, DataError
from tests.data.folders import encoded, hugging, image_folder, pictures, saved_set


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(tmp_path):
    return saved_set(tmp_path / "own")


def load(path, **settings):
    return load_huggingface(path=path, **{"size": 8, **settings})


def test_columns_are_found_and_one_split_is_divided(folder):
    found = load(folder)
    assert (found.name, found.class_names, found.form) == ("own", ("cat", "dog"), "8 x 8 x 3")
    assert np.bincount(found.train.y_N).tolist() == [8, 8]
    assert np.bincount(found.test.y_N).tolist() == [2, 2]
    assert load(folder, channels=1).form == "8 x 8"


def test_the_pictures_are_those_that_a_folder_has(tmp_path):
    import datasets

    root = image_folder(tmp_path / "root")
    files = [root / name / f"{at}.png" for name in "ab" for at in range(5)]
    rows = {"image": [str(file) for file in files], "label": [0] * 5 + [1] * 5}
    given = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    given.save_to_disk(tmp_path / "set")
    ours, theirs = load(tmp_path / "set"), load_image_folder(root=root, size=8)
    np.testing.assert_array_equal(ours.train.x_NTC, theirs.train.x_NTC)
    np.testing.assert_array_equal(ours.train.y_N, theirs.train.y_N)


def test_splits_of_their_own_stay(tmp_path):
    import datasets

    whole = hugging(12)
    splits = {"test": whole.select(range(4)), "train": whole.select(range(4, 12))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "two")
    found = load(tmp_path / "two")
    assert (len(found.train), len(found.test)) == (8, 4)
    datasets.DatasetDict(train=splits["train"], validation=whole).save_to_disk(tmp_path / "three")
    with pytest.raises(DataError, match=r"has the splits train, validation, and not .*three/train"):
        load(tmp_path / "three")
    assert len(load(tmp_path / "three" / "validation").train) == 10


def test_parquet_files_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    hugging(12).to_parquet(tmp_path / "own" / "train-00000-of-00001.parquet")
    assert load(tmp_path / "own").class_names == ("cat", "dog")
    hugging(4).to_parquet(tmp_path / "own" / "test-00000-of-00001.parquet")
    found = load(tmp_path / "own")
    assert (len(found.train), len(found.test)) == (12, 4)


@pytest.mark.parametrize("record", [True, False])
def test_parquet_files_of_other_libraries_are_read(tmp_path, record):
    made = [encoded(picture) for picture in pictures(10)]
    cells = [{"bytes": cell, "path": None} for cell in made] if record else made
    words = ["z", "a"] * 5
    pd.DataFrame({"picture": cells, "label": words}).to_parquet(tmp_path / "x.parquet")
    found = load(tmp_path)
    assert found.class_names == ("a", "z")
    assert np.bincount(found.train.y_N).tolist() == [4, 4]


def test_columns_may_be_named(folder):
    import datasets

    datasets.load_from_disk(str(folder)).rename_columns({"img": "one", "fine": "two"}).add_column(
        "other", [0, 1] * 10
    ).save_to_disk(folder.parent / "named")
    found = load(folder.parent / "named", image_column="one", label_column="other")
    assert found.class_names == ("0", "1")


def test_names_of_classes_may_be_given(folder):
    assert load(folder, class_names=["x", "y", "z"]).class_names == ("x", "y", "z")
    with pytest.raises(DataError, match="10 labels such as 1 are none of the classes x"):
        load(folder, class_names=["x"])


def test_without_a_folder_there_is_the_form_alone():
    assert load(None, class_names=["a"]).form == "8 x 8 x 3"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": None}, r"data\.path=null: give the folder"),
        ({"path": "/nowhere"}, r"data\.path=/nowhere is not a folder"),
        ({"path": "hf://datasets/mnist"}, r"is not a folder"),
        ({"size": 1}, r"data\.size=1"),
        ({"channels": 4}, r"data\.channels=4"),
        (
            {"image_column": "fine"},
            r"data\.image_column=fine holds no pictures .*: give one of img",
        ),
        ({"label_column": "img"}, r"data\.label_column=img holds no classes"),
        ({"label_column": "number", "class_names": ["0"]}, "19 labels such as 1"),
        ({"skip_broken": 1}, r"data\.skip_broken=1"),
    ],
)
def test_a_wrong_setting_is_named(folder, settings, message):
    with pytest.raises((ConfigError, DataError), match=message) as info:
        load(**{"path": folder, **settings})
    assert "\n" not in str(info.value)


def test_columns_that_are_not_plain_must_be_named(folder):
    import datasets

    found = datasets.load_from_disk(str(folder))
    more = found.select_columns(["img"]).rename_column("img", "more")
    datasets.concatenate_datasets([found, more], axis=1).save_to_disk(folder.parent / "both")
    with pytest.raises(DataError, match=r"data\.image_column=null: 2 of the columns may be"):
        load(folder.parent / "both")
    found.remove_columns("fine").save_to_disk(folder.parent / "none")
    with pytest.raises(DataError, match=r"data\.label_column=null: none of the columns may be"):
        load(folder.parent / "none")


def test_broken_rows_are_named_or_left_out(tmp_path, caplog):
    made = [encoded(picture) for picture in pictures(10)]
    made[3] = made[3][:50]
    cells = [{"bytes": cell, "path": None} for cell in made]
    cells[4] = {"bytes": None, "path": "/etc/picture.png"}
    pd.DataFrame({"image": cells, "label": [0, 1] * 5}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"2 of 10 pictures: row 3 .*, row 4 .*holds no bytes"):
        load(tmp_path)
    found = load(tmp_path, skip_broken=True)
    assert len(found.train) + len(found.test) == 8
    assert "left out 2 of 10" in caplog.text


@pytest.mark.parametrize("damage", ["dataset_info.json", "state.json", "data-00000-of-00001.arrow"])
def test_a_damaged_set_is_one_line(folder, damage):
    (folder / damage).write_bytes(b"{ broken")
    with pytest.raises(DataError, match=r"cannot read data\.path=.*is expected$") as info:
        load(folder)
    assert "\n" not in str(info.value)


def test_a_folder_that_is_no_set_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"a folder of save_to_disk or of \.parquet files is expected"
    ):
        load(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot read"):
        load(tmp_path)
