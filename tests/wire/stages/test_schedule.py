"""Codecs by round: which one holds when, and what cannot be read."""

import pytest

from flwr_gan.errors import CodecError
from flwr_gan.flower.settings import WireSettings
from flwr_gan.wire.stages.schedule import Schedule

TEXT = "topk:0.25+int8>4:topk:0.1+int4>8:sparse"


def test_each_codec_holds_from_its_round_on():
    found = [Schedule.of(TEXT).at(number, feedback=True) for number in (0, 1, 3, 4, 7, 8, 99)]
    assert found == ["topk:0.25+int8"] * 3 + ["topk:0.1+int4"] * 2 + ["sparse"] * 2
    assert Schedule.of(TEXT).last == "sparse"
    assert Schedule.of("zlib:9").at(5, feedback=True) == "zlib:9"


def test_without_feedback_stages_are_unbiased():
    settings = WireSettings(codec_up="randk:0.1+int8>3:eden:2", codec_down="qsgd:4", feedback=False)
    assert settings.up_at(1) == "randk:0.1:unbiased+int8"
    assert settings.up_at(3) == "eden:2:unbiased"
    assert settings.down_at(3) == "qsgd:4:unbiased"
    assert WireSettings(codec="randk:0.1").up_at(1) == "randk:0.1"


def test_the_speed_of_a_link_decides():
    by_link = Schedule.of("sparse:int4<2:sparse:int8<10.5:sparse>5:auto:link")
    found = [by_link.at(1, feedback=True, mbits=speed) for speed in (1.9, 2, 10.4, 10.5, None)]
    assert found == ["sparse:int4", "sparse:int8", "sparse:int8", "sparse", "sparse"]
    found = [by_link.at(5, feedback=True, mbits=speed) for speed in (2.5, 10**9, None)]
    assert found == ["auto:2.5", "auto:1e+06", "auto"]
    assert by_link.is_by_link
    assert by_link.last == "auto"
    assert by_link.specs == ("sparse", "auto")
    assert not Schedule.of(TEXT).is_by_link
    assert Schedule.of("randk:0.1<2:raw").at(1, feedback=False, mbits=1) == "randk:0.1:unbiased"


def test_a_broadcast_is_coded_as_for_the_fastest_links():
    settings = WireSettings(codec="topk:0.1+int4<2:sparse")
    assert settings.down_at(1) == "sparse"
    assert not settings.sends_updates
    assert settings.up_at(1, 1.0) == "topk:0.1+int4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sparse<2", "codecs by link 'sparse<2': '2' cannot be read; write CODEC<MBITS:CODEC"),
        ("sparse<3:raw<2:raw", "rising speeds"),
        ("sparse<0:raw", "rising speeds"),
        ("sparse<2:gzip", "unknown codec"),
        ("<2:raw", "unknown codec"),
        ("sparse>", "cannot be read"),
        ("sparse>3", "cannot be read"),
        ("sparse>1:raw", "rounds from 2 on"),
        ("sparse>5:raw>5:zlib", "rising rounds"),
        ("sparse>x:raw", "cannot be read"),
        ("sparse>3:gzip", "unknown codec"),
        (">3:raw", "unknown codec"),
    ],
)
def test_bad_schedules_are_explained(text, said):
    with pytest.raises(CodecError, match=said) as caught:
        WireSettings(codec=text)
    assert "\n" not in str(caught.value)
