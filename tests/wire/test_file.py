"""Files of payloads: complete or absent, self-contained, and errors that name the file."""

import os

import numpy as np
import pytest

from flwr_gan.errors import CodecError, OutputError, PayloadError
from flwr_gan.wire import Template, encode_payload, load, save


def test_arrays_and_payloads_can_be_saved(tmp_path, ticket):
    path = tmp_path / "g.fgan"
    save(path, ticket)
    assert np.array_equal(load(path)["fc"], ticket["fc"])
    payload = encode_payload(ticket, codec="zlib", self_contained=False)
    save(path, payload, Template.of(ticket))
    assert np.array_equal(load(path)["fc"], ticket["fc"])
    assert os.listdir(tmp_path) == ["g.fgan"]


def test_a_payload_that_leans_on_a_base_is_loaded_with_it(tmp_path, ticket):
    path = tmp_path / "g.fgan"
    save(path, encode_payload(ticket, base=ticket, self_contained=False), Template.of(ticket))
    assert np.array_equal(load(path, base=ticket)["fc"], ticket["fc"])
    with pytest.raises(PayloadError, match="unknown_base"):
        load(path)


def test_a_failed_save_leaves_nothing(tmp_path, ticket):
    path = tmp_path / "g.fgan"
    with pytest.raises(CodecError, match="unknown codec"):
        save(path, ticket, codec="zlip")
    with pytest.raises(PayloadError, match="pass template="):
        save(path, encode_payload(ticket, self_contained=False))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save(tmp_path / "file" / "g.fgan", ticket)
    path.mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        save(path, ticket)
    assert sorted(os.listdir(tmp_path)) == ["file", "g.fgan"]


def test_a_missing_folder_is_made(tmp_path, ticket):
    save(tmp_path / "new" / "g.fgan", ticket)
    assert list(load(tmp_path / "new" / "g.fgan")) == list(ticket)


def test_bad_files_are_named(tmp_path, ticket):
    path = tmp_path / "g.fgan"
    with pytest.raises(OutputError, match=r"g\.fgan cannot be read"):
        load(path)
    whole = encode_payload(ticket)
    for data, said in [
        (whole[:-9], "truncated"),
        (b"hello, world", "no flwr_gan payload"),
        (whole[:3] + b"\x07" + whole[4:], "version 7"),
    ]:
        path.write_bytes(data)
        with pytest.raises(PayloadError, match=rf"g\.fgan.*{said}"):
            load(path)
