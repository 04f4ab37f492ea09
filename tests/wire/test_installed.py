"""Codecs, stages, methods and data sets of a package that is installed beside this one."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from flwr_gan.app.config import build, load_config
from flwr_gan.errors import CodecError, ConfigError, PayloadError
from flwr_gan.wire import decode_payload, describe_payload, encode_payload
from flwr_gan.wire.codecs import codec_by_id, codec_names, get_codec, installed
from flwr_gan.wire.stages import get_stage, stage_names
from flwr_gan.wire.stages.registry import stage_by_id

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extend.md").read_text()
PART = PAGE[PAGE.index("## A package of your own") :]
RNG = np.random.default_rng(0)
ARRAYS = {"w": RNG.normal(size=(20, 30)).astype(np.float32), "n": np.arange(5)}


def block(language):
    return re.search(rf"^```{language}\n(.*?)^```", PART, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package: a module, and its entry points by group."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install_package(name, code, groups):
        (tmp_path / f"{name}.py").write_text(code)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            line
            for group, entries in groups.items()
            for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        installed._found.cache_clear()
        monkeypatch.delitem(sys.modules, name, raising=False)

    yield install_package
    installed._found.cache_clear()


@pytest.fixture
def my_package(install):
    install("my_package", block("python"), tomllib.loads(block("toml"))["project"]["entry-points"])


@pytest.mark.usefixtures("my_package")
@pytest.mark.parametrize("spec", ["deflate", "round:8+deflate", "round:8+sparse", "round:3+int8"])
def test_payloads_are_coded_with_what_a_package_adds(spec):
    payload = encode_payload(ARRAYS, codec=spec)
    assert describe_payload(payload).codec.spec == get_codec(spec).spec
    decoded = decode_payload(payload)
    assert np.array_equal(decoded["n"], ARRAYS["n"])
    bits = 22 if spec == "deflate" else int(spec[6])
    loss = 0.02 if "int8" in spec else 0
    assert np.abs(decoded["w"] - ARRAYS["w"]).max() <= np.abs(ARRAYS["w"]).max() * 2.0**-bits + loss
    with pytest.raises(PayloadError):
        decode_payload(payload[:-5] + payload[-4:])


@pytest.mark.usefixtures("my_package")
def test_names_settings_and_numbers_of_a_package_are_known():
    assert codec_by_id(24).spec == get_codec("deflate").spec == "deflate"
    stage = get_stage("round:8")
    assert (stage.parameter, stage.bits, stage_by_id(128, 8).spec) == (8, 8, "round:8")
    assert get_codec("round:8").spec == "round:8+sparse"
    assert "deflate" not in codec_names()
    assert "round" not in stage_names()
    for spec, said in [
        ("round+zlib", "cannot be read; allowed: round:BITS"),
        ("round:23+zlib", "'23' is out of range"),
        ("deflate:3", "deflate takes no settings"),
        ("deflat", "unknown codec 'deflat'; allowed: raw, .*, deflate; did you mean 'deflate'"),
        ("rnd:8+zlib", "allowed: quantize, .*, round"),
    ]:
        with pytest.raises(CodecError, match=said):
            get_codec(spec)
    with pytest.raises(PayloadError, match="settings of round"):
        stage_by_id(128, 0)


@pytest.mark.usefixtures("my_package")
def test_a_run_takes_the_data_and_the_method_of_a_package():
    added = ["+method._target_=my_package.Halved", "+method.factor=0.25"]
    config = load_config(["data._target_=my_package.load_ramps", "+data.samples=60", *added])
    data = build(config.data)
    assert (data.name, len(data.train) + len(data.test)) == ("ramps", 60)
    method = build(config.method)
    assert (type(method).__name__, method.factor) == ("Halved", 0.25)
    with pytest.raises(ConfigError, match=r"unknown key method\.factor"):
        load_config(["+method.factor=0.25"])


CODEC = """
from flwr_gan.wire.codecs import GeneralCodec
class Other(GeneralCodec):
    name = spec = "{name}"
    wire_id = {number}
    compress = decompressor = None
"""


@pytest.mark.usefixtures("my_package")
def test_a_package_that_clashes_is_named(install):
    install(
        "twice",
        CODEC.format(name="squash", number=24),
        {installed.CODECS: {"squash": "twice:Other"}},
    )
    with pytest.raises(CodecError) as caught:
        get_codec("squash")
    assert str(caught.value) == (
        "codec 'squash' of the package twice and codec 'deflate' of the package my_package both "
        "have the number 24 on the wire; uninstall one of them"
    )
    with pytest.raises(PayloadError, match="both have the number 24"):
        codec_by_id(24)
    assert get_codec("round:8").spec == "round:8+sparse"


@pytest.mark.parametrize(
    ("name", "number", "said"),
    [
        (
            "low",
            9,
            "codec 'low' of the package low has the number 9 on the wire; allowed: 24 to 30",
        ),
        ("high", 31, "number 31 on the wire; allowed: 24 to 30"),
        ("named", 25, "calls itself 'other'; both names must be one"),
        ("broken", "1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_a_package_that_cannot_be_used_is_explained(install, name, number, said):
    code = CODEC.format(name="other" if name == "named" else name, number=number)
    install(name, code, {installed.CODECS: {name: f"{name}:Other"}})
    with pytest.raises(CodecError) as caught:
        get_codec(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert get_codec("zlib").spec == "zlib:9"


def test_two_packages_with_one_name_are_named(install):
    for package, number in (("first", 24), ("second", 25)):
        install(
            package,
            CODEC.format(name="squash", number=number),
            {installed.CODECS: {"squash": f"{package}:Other"}},
        )
    with pytest.raises(CodecError, match="first and codec 'squash' of the package second have one"):
        get_codec("squash")


def test_a_number_of_a_package_that_is_missing_is_explained():
    with pytest.raises(PayloadError, match="codec number 24, which no installed package has"):
        codec_by_id(24)
    with pytest.raises(PayloadError, match="stage number 200, which no installed package has"):
        stage_by_id(200, 0)


def test_nothing_is_looked_for_while_names_are_ours(monkeypatch):
    monkeypatch.setattr(installed, "entry_points", None)
    installed._found.cache_clear()
    for spec in ("zlib:9", "int8", "topk:0.01+int4", "quantize:int8:channel+zstd", "auto"):
        get_codec(spec)
